r"""Critical mixing: the largest α at which the growth factor stays at or below a level.

Any matrix M bounds ρ from below by the quadratic ``α ↦ ⟨M, Φ_α(M)⟩``, so that the larger
root of ``⟨M, Φ_α(M)⟩ = level`` bounds the critical mixing from above, and that of the top
eigenmatrix there is closer still: the iteration is monotone. At level 1 M is the eigenmatrix
of the critical step size at α, which D's smallest eigenvalues do not blur; one batch size's M
is already close for the next one (docs/theory/critical_values).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray, Threshold
from rmtstab.curvature.factors import ReducedFactors
from rmtstab.dynamics.certificate import EPS, ROUNDING, Enclosure
from rmtstab.dynamics.critical_step_size import INTERIOR, critical_step_size
from rmtstab.dynamics.davidson import Subspace
from rmtstab.dynamics.eigen import BASIS_BYTES
from rmtstab.dynamics.growth import growth
from rmtstab.dynamics.mean_curvature import resolution
from rmtstab.dynamics.second_moment import SecondMoment
from rmtstab.dynamics.update import Update
from rmtstab.sampling import Pair

CONVERGED = 1e-12
MAX_ROUNDS = 60
SCAN = 33  # mixings scanned where convexity is not available
TOLERANCES = (1e-4, 1e-5, 1e-7)  # relative residuals of successive solutions along a map
ALONE = (1e-4, 1e-6, 1e-9)  # and of a single threshold
RESOLUTION = 1e-11  # relative change of the mixing at which to stop
GAPS = (1e-10, 1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 0.5)  # below a mixing where D is singular


def critical_alpha(update: Update, level: float = 1.0, upper: float = 1.0) -> Threshold:
    r"""Largest mixing with ρ ≤ level, the upper end of an interval (ρ is convex in α).

    Parameters
    ----------
    update : Update
        Its own mixing is not read. With momentum ρ need not be convex; the last
        crossing seen from `SCAN` mixings is found by bisection.
    level : float, ≥ 1
        1 for the critical mixing, ``e^{2/τ}`` for the rate frontier A_τ.
    upper : float
        A mixing known to lie at or above the answer; saves work.

    Returns
    -------
    Threshold
        0 with a status where the retain set is stable but misses a forget
        direction, so that any ascent escapes; NaN with a status where no mixing
        is stable; 1 where every mixing is.

    Raises
    ------
    ValueError
        If there is no forget set, or the level is below 1.

    References
    ----------
    Derived in docs/theory/critical_values.
    """
    curvatures, eta = update.curvatures, update.step_size
    if curvatures.n_forget == 0:
        raise ValueError("critical_alpha needs a forget set, got n_forget=0")
    level = _checks.real("level", level, low=1.0)
    if curvatures.rank == 0 or eta == 0.0:
        return Threshold(1.0, 0.0, True, "nothing moves: stable at every mixing")
    if update.momentum:
        return _scan(update, level)
    plain = update.weight_decay == 0.0 and level == 1.0
    if plain and curvatures.basis(0.0).n_active < curvatures.rank:
        start = growth(update.at(alpha=0.0))
        if start.value <= 1.0 + ROUNDING:
            status = "marginal at 0: the retain set misses a forget direction"
            return Threshold(0.0, 0.0, start.certified, status)
        return Threshold(math.nan, 0.0, True, "no mixing is stable")
    if level == 1.0:
        found, _ = follow(update, upper, tolerances=ALONE)
        if found is not None:
            return found
    return _descend(update, level, upper)


def critical_alphas(
    update: Update, batches: Sequence[Pair], hints: Sequence[float]
) -> list[Threshold]:
    """Critical mixing of each batch size, in order: each starts from its neighbour's M.

    Parameters
    ----------
    update : Update
        Its own mixing and batch sizes are not read.
    batches : sequence of (float, float)
    hints : sequence of float
        Mixings at or above the answers.

    Returns
    -------
    list of Threshold
    """
    found = []
    matrix: FloatArray | None = None
    for batch, hint in zip(batches, hints, strict=True):
        column, threshold = update.at(batch_size=batch), None
        if not update.momentum and update.curvatures.rank:
            threshold, matrix = follow(column, hint, matrix)
        if threshold is None:
            threshold = critical_alpha(column, upper=hint)
        found.append(threshold)
    return found


# --- by the critical step size ---------------------------------------------------------------


def follow(
    update: Update,
    hint: float,
    matrix: FloatArray | None = None,
    tolerances: tuple[float, ...] = TOLERANCES,
) -> tuple[Threshold | None, FloatArray | None]:
    """One critical mixing by the critical step size, and its eigenmatrix.

    Parameters
    ----------
    update : Update
        Its own mixing is not read.
    hint : float
        At or above the answer.
    matrix : ndarray, shape (rank, rank), optional
        Any matrix to start from, in the problem's coordinates.
    tolerances : tuple of float
        Relative residuals of successive solutions; the last one's until the mixing rests.

    Returns
    -------
    threshold : Threshold or None
        None where the mixing is not interior, or the hint lay below it.
    matrix : ndarray, shape (rank, rank), or None
    """
    current, solved = hint, 0
    if matrix is not None:
        below = _root(update.at(alpha=current), matrix)
        if below is not None and 0.0 < below < current:
            current = below
    for _ in range(MAX_ROUNDS):
        here = update.at(alpha=current)
        q = here.judged_vectors
        d = here.mean_eigenvalues + here.weight_decay
        if not len(d):
            return None, matrix
        worst = int(np.argmin(d))
        if d[worst] <= resolution(here):  # to rounding
            matrix = np.outer(q[:, worst], q[:, worst])  # the mean ascends along it
            below = _root(here, matrix)
            if below is None or below <= 0.0:
                return None, matrix  # nothing is stable
            if below >= current * (1.0 - RESOLUTION) or d[worst] >= -resolution(here):
                found, below, matrix = _under_the_mean(here, matrix)
                if below is None:
                    return found, matrix
            current = below
            continue
        tolerance = tolerances[min(solved, len(tolerances) - 1)]
        solved += 1
        space, root = _space(here, d, matrix)
        if not space.refine(0, tolerance):
            return None, matrix
        matrix = q @ (root * space.matrix(0)) @ q.T
        below = _root(here, matrix)
        if below is None or below <= 0.0:
            return None, matrix
        final = tolerance == tolerances[-1]
        if final and abs(current - below) <= RESOLUTION * current:
            finest = 10.0 * tolerance
            return _threshold(here, space, d, q.T @ matrix @ q, below, finest), matrix
        if below >= current and final:
            return None, matrix  # the hint lay below the answer
        current = min(current, below)
    return None, matrix


def _under_the_mean(
    update: Update, matrix: FloatArray
) -> tuple[Threshold | None, float | None, FloatArray]:
    """Where D turns singular: the threshold, or a smaller mixing that bounds it.

    Noise along the nearly null directions is resolved only somewhat below.
    """
    alpha = update.alpha
    for gap in GAPS:
        inside = update.at(alpha=alpha * (1.0 - gap))
        d = inside.mean_eigenvalues + inside.weight_decay
        if d.min() <= resolution(inside):
            continue
        space, root = _space(inside, d, None)
        if space.refine(0, 1e-5):
            if update.step_size * space.upper(0, 1e-6, patience=20) < 1.0:
                return Threshold(alpha, gap * alpha, True, INTERIOR), None, matrix
            q = inside.judged_vectors
            trial = q @ (root * space.matrix(0)) @ q.T
            below = _root(inside, trial)
            if below is None or below <= 0.0:
                return None, None, trial  # nothing is stable
            if below < inside.alpha:
                return None, below, trial
    status = "D(alpha) is singular here; no stable mixing below could be certified"
    return Threshold(alpha, math.inf, False, status), None, matrix


def _space(update: Update, d: FloatArray, matrix: FloatArray | None) -> tuple[Subspace, FloatArray]:
    """Subspace for ``1/η*`` of the cell, and ``1/√L``; it resolves what ρ − 1 does not."""
    noise, mu = update.judged_noise, update.mean_eigenvalues
    left = d[:, None] + d
    root = 1.0 / np.sqrt(left)
    elementwise = (np.outer(d, d) + noise.shift * np.outer(mu, mu)) / left
    space = Subspace(
        [SecondMoment(noise, elementwise, 1.0, root)],
        np.ones((1, 1)),
        np.outer(d, d) / left,
        memory=BASIS_BYTES,
    )
    if matrix is not None:
        q = update.judged_vectors
        space.add(space.packed((q.T @ matrix @ q) / root))
    return space, root


def _root(update: Update, matrix: FloatArray) -> float | None:
    return _larger_root(*_excess(update, matrix / np.linalg.norm(matrix)))


def _threshold(
    update: Update,
    space: Subspace,
    d: FloatArray,
    turned: FloatArray,
    value: float,
    finest: float,
) -> Threshold:
    """Error bound: ``⟨M, (L − ηN)M⟩`` over its slope, at the certified lower end of η*."""
    size = float(np.linalg.norm(turned))
    q = update.judged_vectors
    m = q @ (turned / size) @ q.T
    terms = _excess(update, m)
    steepness = terms[1] + 2.0 * terms[2] * update.alpha
    upper = space.upper(0, finest, patience=40)
    error = math.inf
    if math.isfinite(upper) and steepness > 0.0:
        pull = float(np.vdot(d[:, None] + d, turned**2)) / size**2
        theta = space.ritz(0)[0]
        rounding = 2.0 * resolution(update)  # of D's eigenvalues
        rounding += _cancelled(update, m) + _spread(terms, value)
        gap = pull * (upper / theta - 1.0) if theta > 0.0 else math.inf
        # the gap is the last mixing's, which may still lie so far from the value
        error = (gap + rounding) / steepness + abs(update.alpha - value) + EPS * value
    return Threshold(value, error, math.isfinite(error), INTERIOR)


# --- by the growth factor --------------------------------------------------------------------


def _descend(update: Update, level: float, upper: float) -> Threshold:
    """The minorant of the growth factor's own eigenmatrix, from ``upper`` down."""
    current, ok = upper, True
    for _ in range(MAX_ROUNDS):
        here = update.at(alpha=current)
        top = growth(here)
        ok = top.certified
        if top.value <= level * (1.0 + CONVERGED):
            if current == 1.0:
                return Threshold(1.0, 0.0, ok, "stable at every mixing")
            if current == upper:  # the hint was not above the answer
                current = upper = 1.0
                continue
            break
        constant, slope, curve = _excess(here, _turned(here, top))
        below = _larger_root(constant - (level - 1.0) / here.step_size, slope, curve)
        if below is None or below > current * (1.0 + CONVERGED) or below < -CONVERGED:
            return Threshold(math.nan, 0.0, ok, "no mixing is stable")
        below = max(below, 0.0)
        if current - below <= 4e-16 * current or current == 0.0:
            break
        current = below
    else:
        ok = False
    error = 0.0
    if top.certified and current not in (0.0, 1.0):
        # the width of the enclosure of ρ over its slope in the mixing
        m = _turned(here, top)
        terms = _excess(here, m)
        steepness = here.step_size * (terms[1] + 2.0 * terms[2] * here.alpha)
        width = float(top.upper - top.value) + abs(top.value - level)
        width += here.step_size * _spread(terms, current)
        if m.size:
            width += here.step_size * _cancelled(here, m / float(np.linalg.norm(m)))
        error = width / steepness + EPS * current if steepness > 0.0 else math.inf
    return Threshold(current, error, ok, INTERIOR if current > 0.0 else "stable at 0 only")


def _turned(update: Update, found: Enclosure) -> FloatArray:
    """Eigenmatrix in the problem's coordinates."""
    q = update.basis.vectors[:, : len(found.matrix)]
    result: FloatArray = q @ found.matrix @ q.T
    return result


def _scan(update: Update, level: float) -> Threshold:
    """Last crossing of the level among scanned mixings, by bisection."""

    def stable(mixing: float) -> bool:
        here = update.at(alpha=mixing)
        if level == 1.0:
            return here.step_size <= critical_step_size(here).value * (1.0 + CONVERGED)
        return growth(here).value <= level

    grid = np.linspace(0.0, 1.0, SCAN)
    good = [stable(float(a)) for a in grid]
    if not any(good):
        return Threshold(math.nan, 0.0, True, "no scanned mixing is stable")
    last = max(i for i, ok in enumerate(good) if ok)
    if last == SCAN - 1:
        return Threshold(1.0, 0.0, True, "stable at every mixing")
    low, high = float(grid[last]), float(grid[last + 1])
    while high - low > 1e-12:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if stable(middle) else (low, middle)
    if low == 0.0:
        return Threshold(0.0, high, True, "marginal at 0")
    return Threshold(low, high - low, True, INTERIOR)


# --- the minorant ----------------------------------------------------------------------------


def _excess(update: Update, m: FloatArray) -> tuple[float, float, float]:
    """Coefficients of ``α ↦ (⟨M, Φ_α(M)⟩ − ⟨M, M⟩)/η`` for one M in the problem's coordinates.

    Divided by η before anything cancels, so that small steps are resolved.
    """
    curvatures, eta, decay = update.curvatures, update.step_size, update.weight_decay
    retain, forget = curvatures.mean_curvatures
    mr, mf = m @ retain, m @ forget
    keep = 1.0 - eta * decay
    pull, push = float(np.vdot(m.T, mr)), float(np.vdot(m.T, mf))
    rr, rf, ff = (float(np.vdot(x.T, y)) for x, y in ((mr, mr), (mr, mf), (mf, mf)))
    parts = []
    sizes = update.sizes
    along = _sample_noise(curvatures.factors, m)
    split = sizes[0]
    for s, (square, squares) in enumerate(((rr, along[:split]), (ff, along[split:]))):
        c, e = update.scheme.coefficients(sizes[s], update.batch_size[s])
        parts.append(c * float(squares.sum()) - e * sizes[s] * square)
    own = (rr + parts[0], ff + parts[1])
    constant = decay * (eta * decay - 2.0) * float(np.vdot(m, m)) - 2.0 * keep * pull + eta * own[0]
    slope = 2.0 * keep * (pull + push) - 2.0 * eta * (own[0] + rf)
    return constant, slope, eta * (own[0] + own[1] + 2.0 * rf)


def _spread(terms: tuple[float, float, float], alpha: float) -> float:
    """Rounding of the sum of `_excess`'s terms, which are large where step × curvature is."""
    return 4.0 * EPS * sum(abs(term) * alpha**k for k, term in enumerate(terms))


def _cancelled(update: Update, m: FloatArray) -> float:
    """Rounding of ``(⟨M, Φ_α(M)⟩ − ⟨M, M⟩)/η``: of its terms, of which noise is what is left."""
    size = 0.0
    means = update.curvatures.mean_curvatures
    along = np.split(_sample_noise(update.curvatures.factors, m), [update.sizes[0]])
    pairs = zip(means, along, update.weights, update.sizes, update.batch_size, strict=True)
    for mean, squares, weight, n, batch in pairs:
        if n and weight:
            c, e = update.scheme.coefficients(n, batch)
            square = float(np.linalg.norm(m @ mean)) ** 2
            size += weight**2 * (c * float(squares.sum()) + (2.0 + e * n) * square)
    return 4.0 * EPS * math.sqrt(len(m)) * update.step_size * size


def _sample_noise(factors: ReducedFactors, m: FloatArray) -> FloatArray:
    """``tr(H_i M H_i M)`` of each sample."""
    a, offsets = factors.matrix, factors.offsets
    moved = m @ a
    if len(offsets) - 1 == a.shape[1]:
        result: FloatArray = np.einsum("ki,ki->i", a, moved) ** 2
        return result
    values = []
    for i in range(len(offsets) - 1):
        block = slice(int(offsets[i]), int(offsets[i + 1]))
        t = a[:, block].T @ moved[:, block]
        values.append(float(np.vdot(t.T, t)))
    return np.array(values)


def _larger_root(constant: float, slope: float, curve: float) -> float | None:
    """Larger root of ``constant + slope x + curve x²``, curve ≥ 0; None without real roots."""
    if curve <= 1e-300:
        return None if slope <= 0.0 else -constant / slope
    square = slope * slope - 4.0 * curve * constant
    if square < 0.0:
        return None
    root = math.sqrt(square)
    if slope <= 0.0:
        return (-slope + root) / (2.0 * curve)
    return -2.0 * constant / (slope + root)
