r"""Critical step size, mixing and batch size: where the growth factor reaches 1.

Each root-finder follows a minorant: for the top eigenmatrix M at one value of
the parameter, ``⟨M, Φ(M)⟩`` as a function of the parameter is a polynomial of
degree at most two that lies below ρ everywhere and touches it there. Its root
bounds the critical value from one side, and the iteration is monotone
(docs/theory/critical_values).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray, Threshold
from rmtstab.dynamics import eigen, growth
from rmtstab.dynamics import momentum as momentum_map
from rmtstab.dynamics.sampling import noise_coefficients
from rmtstab.dynamics.second_moment import NoiseMap, SecondMoment

if TYPE_CHECKING:
    from rmtstab.dynamics.linearised import Dynamics
    from rmtstab.dynamics.problem import UnlearningProblem

NULL = 1e-13  # eigenvalues of D this small against the largest count as zero
CONVERGED = 1e-12
MAX_ROUNDS = 60
SCAN = 33  # mixings scanned where convexity is not available


def step_size(
    problem: UnlearningProblem,
    batch: Any,
    mixing: Any = 0.0,
    sampling: str = "without_replacement",
    weight_decay: Any = 0.0,
    momentum: Any = 0.0,
) -> Threshold:
    r"""Largest step size with ρ ≤ 1: ``η* = 1/λ_max(L^{-1/2} N L^{-1/2})``.

    ``L(M) = DM + MD`` and ``N(M) = DMD + noise``, both on the range; in D's
    eigenbasis L is elementwise, so this is one matrix-free symmetric eigenproblem.

    Parameters
    ----------
    problem : UnlearningProblem
    batch, mixing, sampling, weight_decay, momentum
        As in `UnlearningProblem.dynamics`.

    Returns
    -------
    Threshold
        0 with a status where D(alpha) has a direction that ascends, or a null
        one that noise excites; ``inf`` where nothing ever escapes. With weight
        decay also at most ``2/λ``, beyond which what the curvature does not see
        diverges.

    References
    ----------
    Mulayoff and Michaeli, arXiv:2306.07850, Theorem 3; with ascent and weight
    decay derived in docs/theory/critical_values.
    """
    return _critical(problem.dynamics(1.0, batch, mixing, sampling, weight_decay, momentum))


def _critical(dyn: Dynamics) -> Threshold:
    """Critical step size with everything else as in ``dyn``."""
    basis, r = dyn.basis, dyn.basis.n_active
    mu = basis.mix[:r]
    d = mu + dyn.weight_decay
    cap = 2.0 * (1.0 + dyn.momentum) / dyn.weight_decay if dyn.weight_decay else math.inf
    unsigned = basis.row_weights() @ basis.rows[:, :r] ** 2
    scale = float(unsigned.max(initial=0.0)) + dyn.weight_decay
    if scale == dyn.weight_decay:
        return Threshold(cap, 0.0, True, "no curvature: nothing escapes")
    if d.min() < -NULL * scale:
        return Threshold(0.0, 0.0, True, "D(alpha) has an ascent direction on the range")
    noise = dyn.noise()
    null = d <= NULL * scale
    if null.any():
        if (_excitation(noise, mu)[null] > NULL * scale**2).any():
            return Threshold(0.0, 0.0, True, "noise excites a null direction of D(alpha)")
        keep = np.flatnonzero(~null)
        if not keep.size:
            return Threshold(cap, 0.0, True, "nothing but inert directions: nothing escapes")
        noise, mu, d = _restrict(noise, keep), mu[keep], d[keep]
    left, mean = momentum_map.step_size_weights(d, dyn.momentum)
    elementwise = mean + noise.shift * np.outer(mu, mu)
    root = 1.0 / np.sqrt(left)
    psi = SecondMoment(noise, elementwise / left, 1.0, root)

    def frames(shift: float) -> tuple[FloatArray, FloatArray]:
        return root, 1.0 / (root * (left - mean / shift))  # proportional to g ∘ √L

    top = eigen.leading(psi.symmetric, np.diag(root), frames=frames if dyn.momentum else None)
    if top.value <= 0.0:
        return Threshold(cap, 0.0, True, "nothing escapes")
    value = 1.0 / top.value
    error = float(value - 1.0 / top.upper)
    ok = math.isfinite(top.upper)
    if value > cap:
        return Threshold(cap, 0.0, ok, "weight decay: 2/weight_decay")
    return Threshold(value, error, ok, "interior")


def _excitation(noise: NoiseMap, mu: FloatArray) -> FloatArray:
    """``tr N(v_p v_pᵀ)`` for each eigenvector: ``E‖Ĥ v_p‖²`` less the mean's, by ``N(I)``.

    The two sets make Ĥ indefinite: ``v_pᵀ Ĥ v_p`` may vanish in every batch without ``Ĥ v_p``.
    """
    whole = noise.apply(np.eye(len(mu)))
    result: FloatArray = np.diag(whole) + noise.shift * mu**2
    return result


def _restrict(noise: NoiseMap, keep: Any) -> NoiseMap:
    square = noise.square[np.ix_(keep, keep)] if noise.kappa else noise.square
    return replace(
        noise,
        rows=np.ascontiguousarray(noise.rows[:, keep]),
        square=np.ascontiguousarray(square),
    )


def alpha(
    problem: UnlearningProblem,
    step: Any,
    batch: Any,
    sampling: str = "without_replacement",
    weight_decay: Any = 0.0,
    momentum: Any = 0.0,
    level: float = 1.0,
    upper: float = 1.0,
) -> Threshold:
    r"""Largest mixing with ρ ≤ level, the upper end of an interval (ρ is convex in α).

    Parameters
    ----------
    problem : UnlearningProblem
    step, batch, sampling, weight_decay, momentum
        As in `UnlearningProblem.dynamics`. With momentum ρ need not be convex; the
        last crossing seen from `SCAN` mixings is found by bisection.
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

    References
    ----------
    Derived in docs/theory/critical_values.
    """
    if problem.n_forget == 0:
        raise ValueError("critical_alpha needs a forget set, got n_forget=0")
    common = (sampling, weight_decay, momentum)
    first = problem.dynamics(step, batch, 0.5, *common)
    level = _checks.real("level", level, low=1.0)
    eta, decay = first.step_size, first.weight_decay
    if problem.rank == 0 or eta == 0.0:
        return Threshold(1.0, 0.0, True, "nothing moves: stable at every mixing")
    if first.momentum:
        return _scan_alpha(first, level)
    missed = problem.basis(0.0).n_active < problem.rank and decay == 0.0 and level == 1.0
    if missed:
        start = growth.solve(problem.dynamics(step, first.batch_size, 0.0, *common))
        if start.value <= 1.0 + growth.ROUNDING:
            status = "marginal at 0: the retain set misses a forget direction"
            return Threshold(0.0, 0.0, math.isfinite(start.upper), status)
        return Threshold(math.nan, 0.0, True, "no mixing is stable")
    if level == 1.0:
        from rmtstab.dynamics.curve import follow  # which builds on this module

        options = (sampling, decay, 0.0)
        found, _ = follow(
            problem, eta, first.batch_size, options, upper, tolerances=(1e-4, 1e-6, 1e-9)
        )
        if found is not None:
            return found
    current, ok = upper, True
    for _ in range(MAX_ROUNDS):
        dyn = problem.dynamics(step, first.batch_size, current, *common)
        top = growth.solve(dyn)
        ok = math.isfinite(top.upper)
        if top.value <= level * (1.0 + CONVERGED):
            if current == 1.0:
                return Threshold(1.0, 0.0, ok, "stable at every mixing")
            if current == upper:  # the hint was not above the answer
                current = upper = 1.0
                continue
            break
        q = dyn.basis.vectors[:, : len(top.matrix)]
        constant, slope, curve = _excess(dyn, q @ top.matrix @ q.T)
        below = _larger_root(constant - (level - 1.0) / eta, slope, curve)
        if below is None or below > current * (1.0 + CONVERGED):
            return Threshold(math.nan, 0.0, ok, "no mixing is stable")
        if below < -CONVERGED:
            return Threshold(math.nan, 0.0, ok, "no mixing is stable")
        below = max(below, 0.0)
        if current - below <= 4e-16 * current or (current == 0.0):
            break
        current = below
    else:
        ok = False
    error = 0.0
    if math.isfinite(top.upper) and current not in (0.0, 1.0):
        error = _sensitivity(dyn, top)
    status = "interior" if current > 0.0 else "stable at 0 only"
    return Threshold(current, error, ok, status)


def _scan_alpha(first: Any, level: float) -> Threshold:
    """Last crossing of the level among scanned mixings, by bisection."""
    problem = first.problem
    rest = (first.sampling, first.weight_decay, first.momentum)

    def stable(mixing: float) -> bool:
        if level == 1.0:
            found = step_size(problem, first.batch_size, mixing, *rest)
            return bool(first.step_size <= found.value * (1.0 + CONVERGED))
        dyn = problem.dynamics(first.step_size, first.batch_size, mixing, *rest)
        return growth.solve(dyn).value <= level

    grid = np.linspace(0.0, 1.0, SCAN)
    good = [bool(stable(float(a))) for a in grid]
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
    return Threshold(low, high - low, True, "interior")


def _sensitivity(dyn: Any, top: growth.Top) -> float:
    """Width of the enclosure of ρ over its slope in the mixing."""
    q = dyn.basis.vectors[:, : len(top.matrix)]
    _, slope, curve = _excess(dyn, q @ top.matrix @ q.T)
    steepness = dyn.step_size * (slope + 2.0 * curve * dyn.alpha)
    return float((top.upper - top.value) / steepness) if steepness > 0.0 else math.inf


def _excess(dyn: Any, m: FloatArray) -> tuple[float, float, float]:
    """Coefficients of ``α ↦ (⟨M, Φ_α(M)⟩ − ⟨M, M⟩)/η`` for one M in the problem's coordinates.

    Divided by η before anything cancels, so that small steps are resolved.
    """
    problem, eta, decay = dyn.problem, dyn.step_size, dyn.weight_decay
    retain, forget = problem.mean_curvatures
    mr, mf = m @ retain, m @ forget
    keep = 1.0 - eta * decay
    pull, push = float(np.vdot(m.T, mr)), float(np.vdot(m.T, mf))
    rr, rf, ff = (float(np.vdot(x.T, y)) for x, y in ((mr, mr), (mr, mf), (mf, mf)))
    parts = []
    sizes = (problem.n_retain, problem.n_forget)
    along = _sample_noise(problem, m)
    split = problem.n_retain
    for s, (square, squares) in enumerate(((rr, along[:split]), (ff, along[split:]))):
        c, e = noise_coefficients(sizes[s], dyn.batch_size[s], dyn.sampling)
        parts.append(c * float(squares.sum()) - e * sizes[s] * square)
    own = (rr + parts[0], ff + parts[1])
    constant = decay * (eta * decay - 2.0) * float(np.vdot(m, m)) - 2.0 * keep * pull + eta * own[0]
    slope = 2.0 * keep * (pull + push) - 2.0 * eta * (own[0] + rf)
    return constant, slope, eta * (own[0] + own[1] + 2.0 * rf)


def _sample_noise(problem: UnlearningProblem, m: FloatArray) -> FloatArray:
    """``tr(H_i M H_i M)`` of each sample."""
    a, offsets = problem.factors.matrix, problem.factors.offsets
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


def batch_size(
    problem: UnlearningProblem,
    step: Any,
    mixing: Any = 0.0,
    sampling: str = "without_replacement",
    weight_decay: Any = 0.0,
    momentum: Any = 0.0,
) -> Threshold:
    r"""Smallest common batch size with ρ ≤ 1, as a real number (ρ falls as B grows).

    Parameters
    ----------
    problem : UnlearningProblem
    step, mixing, sampling, weight_decay, momentum
        As in `UnlearningProblem.dynamics`.

    Returns
    -------
    Threshold
        For the fixed-size schemes every whole B at or above the value is stable.
        1 with a status (0 for Bernoulli) where every B is stable, NaN with a
        status where none is.

    References
    ----------
    Derived in docs/theory/critical_values.
    """
    mixing = problem._alpha(mixing)
    sizes = [n for n, a in ((problem.n_retain, 1.0 - mixing), (problem.n_forget, mixing)) if a]
    largest = float(min(sizes))
    common = (sampling, weight_decay, momentum)
    full = problem.dynamics(step, int(largest), mixing, *common)
    if growth.solve(full).value > 1.0 + growth.ROUNDING:
        return Threshold(math.nan, 0.0, True, "no batch size is stable")
    if full.momentum:
        return _bisect_batch(full, largest)
    current = 1.0  # 1/B
    top, dyn = _at_inverse_batch(full, current)
    while sampling == "bernoulli" and top.value <= 1.0 and current < 1e12:
        current *= 8.0
        top, dyn = _at_inverse_batch(full, current)
    if top.value <= 1.0 + growth.ROUNDING:
        least = 0.0 if sampling == "bernoulli" else 1.0
        return Threshold(least, 0.0, math.isfinite(top.upper), "stable at every batch size")
    for _ in range(MAX_ROUNDS):
        if top.value <= 1.0 + CONVERGED:
            break
        steepness = _inverse_batch_slope(full, dyn, top)
        lower = current - (top.value - 1.0) / steepness
        lower = max(lower, 1.0 / largest)
        if current - lower <= 4e-16 * current:
            break
        current = lower
        top, dyn = _at_inverse_batch(full, current)
    ok = math.isfinite(top.upper)
    error = math.inf
    if ok:
        error = (top.upper - top.value) / _inverse_batch_slope(full, dyn, top) / current**2
    return Threshold(1.0 / current, error, ok, "interior")


def _bisect_batch(full: Any, largest: float) -> Threshold:
    """Smallest stable batch by bisection on ``η*(B) ≥ η``, which grows with B."""

    def stable(batch: float) -> bool:
        dyn = full.problem.dynamics(
            full.step_size, full.batch_size, full.alpha, full.sampling, full.weight_decay,
            full.momentum,
        )  # fmt: skip
        dyn.batch_size = (batch, batch)
        return bool(full.step_size <= _critical(dyn).value * (1.0 + CONVERGED))

    low = 1e-12 * largest if full.sampling == "bernoulli" else 1.0
    if stable(low):
        least = 0.0 if full.sampling == "bernoulli" else 1.0
        return Threshold(least, 0.0, True, "stable at every batch size")
    high = largest
    while high / low > 1.0 + 1e-12:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if stable(middle) else (middle, high)
    return Threshold(high, high - low, True, "interior")


def _at_inverse_batch(full: Any, inverse: float) -> tuple[growth.Top, SecondMoment]:
    """Growth factor at the real batch size ``1/inverse`` in both sets."""
    dyn = full.problem.dynamics(
        full.step_size, full.batch_size, full.alpha, full.sampling, full.weight_decay, full.momentum
    )
    dyn.batch_size = (1.0 / inverse, 1.0 / inverse)
    return growth.solve(dyn), dyn


def _inverse_batch_slope(full: Any, dyn: Any, top: growth.Top) -> float:
    """``d⟨M, Φ(M)⟩/d(1/B)`` at fixed M: exact, as the noise is affine in 1/B."""
    inverse = 1.0 / dyn.batch_size[0]
    base = full.second_moment()
    there = float(np.vdot(top.matrix, base(top.matrix)))
    gap = inverse - 1.0 / min(b for b in full.batch_size if b)
    return (top.value - there) / gap if gap > 0.0 else math.inf
