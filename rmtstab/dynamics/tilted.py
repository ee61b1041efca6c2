r"""Typical growth bounded from above by the mean square of tilted batches.

For laws Q and Q' of a batch, ``λ₁(Q) ≤ ½[KL(Q‖Q') + log ρ(Φ_Q')]``: at ``Q' = Q`` this is
Jensen's ``½ log ρ``. Here Q' draws sample i less often by ``e^{-θ_i}`` a draw; Φ of such
batches is known from the means and covariances of the inclusion counts. The best tilt undoes
what a batch adds to the growth, ``θ_i = log(growth with i / growth without)``, and is found by
iterating that equation; the bound holds at every tilt. Proof in docs/theory/lyapunov.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import special

from rmtstab._results import FloatArray
from rmtstab.dynamics import davidson
from rmtstab.dynamics.certificate import EPS
from rmtstab.dynamics.eigen import BASIS_BYTES
from rmtstab.dynamics.update import Update
from rmtstab.sampling import Scheme

STEEPEST = 30.0  # |θ| beyond which a tilt is cut
SWEEPS = 8
HALVINGS = 3
GAIN = 1e-4  # of what the tilt has gained: where it stops


class BatchLaw(NamedTuple):
    """Law of one set's inclusion counts.

    Attributes
    ----------
    mean : ndarray, shape (n,)
    covariance : ndarray, shape (n, n)
    entropy : float
        Relative entropy KL(Q‖Q') of the untilted law to this one.
    """

    mean: FloatArray
    covariance: FloatArray
    entropy: float


def batch_law(scheme: Scheme, n: int, batch: float, tilt: FloatArray) -> BatchLaw:
    """Counts drawn with probability ``∝ Q(x) e^{-θ·x}``.

    Parameters
    ----------
    scheme : Scheme
    n : int
    batch : float
    tilt : ndarray, shape (n,)
        θ; of fixed-size batches only its differences matter.

    Returns
    -------
    BatchLaw

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.dynamics.tilted import batch_law
    >>> from rmtstab.sampling import WITHOUT_REPLACEMENT
    >>> law = batch_law(WITHOUT_REPLACEMENT, 3, 1, np.log([1.0, 1.0, 2.0]))
    >>> law.mean.round(12).tolist()
    [0.4, 0.4, 0.2]
    """
    if scheme.exhausts and batch == n:
        return BatchLaw(np.ones(n), np.zeros((n, n)), 0.0)
    if not scheme.fixed_size:
        p = batch / n
        odds = -special.log1p(p * special.expm1(-tilt))  # log of (1−p)/(1−p') is −odds
        mean = p * np.exp(odds - tilt)
        return BatchLaw(mean, np.diag(mean * (1.0 - mean)), float(np.sum(p * tilt - odds)))
    if not scheme.exhausts:
        logs = -tilt - special.logsumexp(-tilt)
        q = np.exp(logs)
        entropy = batch * float(np.mean(-math.log(n) - logs))
        return BatchLaw(batch * q, batch * (np.diag(q) - np.outer(q, q)), entropy)
    return _subset_law(n, int(batch), tilt - tilt.mean())


def _subset_law(n: int, batch: int, tilt: FloatArray) -> BatchLaw:
    """Subsets of B: independent draws, given that their number is B."""
    from scipy.optimize import brentq

    reach = float(np.abs(tilt).max()) + math.log(n) + 1.0
    level = float(brentq(lambda c: special.expit(c - tilt).sum() - batch, -reach, reach))
    p = special.expit(level - tilt)
    # the number's characteristic function, at an odd number of points: none is −1, where a
    # factor may vanish; n tell 0 < B < n from B ± n
    points = n | 1
    w = np.exp(2j * np.pi * np.arange(points) / points)
    factors = 1.0 + p[:, None] * (w - 1.0)
    terms = np.prod(factors, axis=0) * w ** (-batch)
    chance = float(terms.sum().real)
    shares = p[:, None] * w / factors
    weighted = shares * terms
    mean = weighted.sum(1).real / chance
    joint = (weighted @ shares.T).real / chance
    np.fill_diagonal(joint, mean)
    log_number = (
        special.gammaln(n + 1) - special.gammaln(batch + 1) - special.gammaln(n - batch + 1)
    )
    log_sum = math.log(chance / points) - float(np.log1p(-p).sum()) - batch * level
    return BatchLaw(mean, joint - np.outer(mean, mean), max(float(log_sum - log_number), 0.0))


def typical_growth(update: Update, sweeps: int = SWEEPS) -> float:
    """Upper bound on the top Lyapunov exponent, per step, on the judged range.

    Parameters
    ----------
    update : Update
        Without momentum.
    sweeps : int
        Tilts tried; each costs a growth factor.

    Returns
    -------
    float
        ``inf`` where no upper end was certified. With rounding of the batches' covariance counted,
        it may lie above ``½ log`` of ρ's own upper end.
    """
    problem = _Tilted(update)
    theta = np.zeros(sum(update.sizes))
    best = first = problem.look(theta)
    for _ in range(sweeps):
        if not math.isfinite(best.value):
            break
        step, found = best.proposal - theta, best
        for halving in range(HALVINGS):
            tried = theta + 0.5**halving * step
            found = problem.look(tried)
            if found.value < best.value:
                break
        if not found.value < best.value:
            break
        gained, best, theta = best.value - found.value, found, tried
        if gained <= GAIN * (first.value - best.value):
            break
    return best.value


class _Look(NamedTuple):
    value: float
    proposal: FloatArray


class _Tilted:
    """The bound as a function of the tilt, and the tilt that its own eigenmatrix asks for."""

    def __init__(self, update: Update) -> None:
        self.update = update
        self.rows = np.ascontiguousarray(update.basis.rows[:, : update.basis.n_active])
        self.offsets = update.curvatures.factors.offsets
        self.keep = 1.0 - update.step_size * update.weight_decay
        n_retain, n = update.sizes[0], sum(update.sizes)
        self.parts = [
            (part, signed * update.step_size / batch, batch)
            for part, signed, batch in (
                (slice(0, n_retain), update.alpha - 1.0, update.batch_size[0]),
                (slice(n_retain, n), update.alpha, update.batch_size[1]),
            )
            if signed != 0.0
        ]

    def look(self, theta: FloatArray) -> _Look:
        scheme = self.update.scheme
        theta = np.clip(theta, -STEEPEST, STEEPEST)
        laws = [batch_law(scheme, p.stop - p.start, b, theta[p]) for p, _, b in self.parts]
        mean, noise = np.zeros(len(theta)), np.zeros((len(theta), len(theta)))
        for (part, gain, _), law in zip(self.parts, laws, strict=True):
            mean[part] = gain * law.mean
            noise[part, part] = gain * gain * law.covariance
        widths = np.diff(self.offsets)
        spread = np.repeat(np.repeat(noise, widths, axis=0), widths, axis=1)
        scaled = self.rows.T * np.repeat(mean, widths)
        j, turn = np.linalg.eigh(self.keep * np.eye(len(scaled)) + scaled @ self.rows)
        rows, products = self.rows @ turn, np.outer(j, j)

        def phi(x: FloatArray) -> FloatArray:
            y = products * x + rows.T @ ((spread * (rows @ x @ rows.T)) @ rows)
            result: FloatArray = 0.5 * (y + y.T)
            return result

        found = davidson.leading(phi, products, BASIS_BYTES)
        # what rounding leaves of noise that cancels, as fixed-size noise of alike samples does
        sizes = self._sums(np.einsum("ik,ik->i", rows, rows), 0)  # tr H_i
        unit = 4.0 * EPS * math.sqrt(len(j))
        of_j = unit * (1.0 + float(np.abs(j).max() + np.abs(mean) @ sizes))
        of_noise = unit * float(sizes @ np.abs(noise) @ sizes)
        found = found.widened(of_j * (2.0 * float(np.abs(j).max()) + of_j) + of_noise)
        entropy = sum(law.entropy for law in laws)
        if not found.upper > 0.0:
            return _Look(-math.inf, theta)
        value = 0.5 * (entropy + math.log(found.upper))
        return _Look(value, self._proposal(theta, laws, noise, rows, j, found.matrix))

    def _proposal(
        self,
        theta: FloatArray,
        laws: list[BatchLaw],
        noise: FloatArray,
        rows: FloatArray,
        j: FloatArray,
        x: FloatArray,
    ) -> FloatArray:
        """``θ_i = log`` of the growth of X with sample i over that without it."""
        along = self._sums(np.einsum("ik,ik->i", rows @ (x * j) @ x, rows), 0)  # ⟨X, H_i X J⟩
        pairs = self._sums(self._sums((rows @ x @ rows.T) ** 2, 0), 1)  # ⟨X, H_i X H_k⟩
        still = float(np.sum((x * j) * (x * j).T))
        moved = float(np.sum(pairs * noise))
        least = 1e-12 * (still + moved)
        proposal = theta.copy()
        if not least > 0.0:  # every batch that is left kills X
            return proposal
        for (part, gain, batch), law in zip(self.parts, laws, strict=True):
            g, k = gain * along[part], gain * gain * pairs[part, part]
            m, c = law.mean, law.covariance
            if not c.any():  # whole sets: nothing to tilt
                continue
            if self.update.scheme.fixed_size and not self.update.scheme.exhausts:
                q = m / batch  # draw by draw
                own = np.diag(k) - 2.0 * k @ q + q @ k @ q
                growth = still + 2.0 * (g - q @ g) + own + moved * (1.0 - 1.0 / batch)
                proposal[part] = np.log(np.maximum(growth, least))
                continue
            m = np.clip(m, 1e-12, 1.0 - 1e-12)
            shift, own = c @ g, np.einsum("ij,jk,ki->i", c, k, c)
            rest = still + moved - own / np.maximum(np.diag(c), 1e-300)
            with_it = rest + 2.0 * shift / m + own / m**2
            without = rest - 2.0 * shift / (1.0 - m) + own / (1.0 - m) ** 2
            p = batch / len(m)
            proposal[part] = (
                theta[part]
                + special.logit(m) - special.logit(p)
                + np.log(np.maximum(with_it, least) / np.maximum(without, least))
            )  # fmt: skip
        return proposal

    def _sums(self, values: FloatArray, axis: int) -> FloatArray:
        """Sums over each sample's rows."""
        result: FloatArray = np.add.reduceat(values, self.offsets[:-1], axis=axis)
        return result
