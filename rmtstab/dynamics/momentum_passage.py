r"""When ``E‖w_k‖²`` first reaches a level with momentum: bounds at every k, from a few steps.

Let ``P ⪰ E₁₁ = [[I, 0], [0, 0]]`` with ``Φ_β*(P) ⪯ λP``. Then ``0 ⪯ (Φ_β*)ⁿ(E₁₁) ⪯ λⁿP``, so that

    E‖w_k‖² = ⟨E₁₁, Φ_βᵏ(M₀)⟩ ≤ λᵏ⟨P, M₀⟩,      |⟨E₁₁, Φ_βⁿ(V)⟩| ≤ λⁿ‖P‖‖V‖.

m Arnoldi steps from M₀ leave ``Φ_β V_m = V_m T + h V_{m+1} e_mᵀ``, and what they miss is

    |⟨E₁₁, Φ_βᵏ(M₀) − V_m Tᵏ e₁⟩| ≤ h ‖P‖ Σ_{s<k} |e_mᵀTˢe₁| λ^{k−1−s}.

P is the sum of one quadratic form a mode of the mean, and of what the noise adds to it: the r×r
problem ``X − G ∘ η²N(X) ⪰ P⁰₁₁`` with ``G = g_λ/λ``, self-adjoint once it is divided by G.

The steps are taken in coordinates ``C_p (w, w₋)`` of each mode, ``C_pᵀC_p = P⁰_p``: there P⁰ is 1
and 𝒥 is of norm ``√λ`` at most, whatever it is in (w, w₋). Their rounding is counted like h.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.dynamics.certificate import EPS, is_positive
from rmtstab.dynamics.first_passage import LEAST, SPARSE, STRETCH
from rmtstab.dynamics.momentum import HeavyBall
from rmtstab.dynamics.update import Update

WIDEST = 200  # Arnoldi steps
BYTES = 3e9  # of their basis
ROUNDING = 4.0 * EPS  # of an Arnoldi step, relative to ‖T‖
SHARE = 0.25  # of log(level), that λᵏ may reach at the limit beyond growth^k
SLACK = 1.0 / 16.0  # of P⁰₁₁, by which the noise's problem is solved too far
RESIDUALS = (1e-5, 1e-9)  # to which it is solved, until that shows
LEAN = 0.25  # least ε of (x + y)² ≤ (1 + ε)x² + (1 + 1/ε)y²


@dataclass(frozen=True)
class Bowl:
    """``P ⪰ E₁₁`` with ``Φ_β*(P) ⪯ λP``, in D's eigenbasis.

    Attributes
    ----------
    level : float
        λ.
    blocks : tuple of ndarray, each (r, r)
        ``P₁₁``, ``P₁₂`` and ``P₂₂``; P is symmetric.
    frames : ndarray, shape (r, 2, 2)
        ``C_p``, of the part of P without noise.
    mean : ndarray, shape (r, 2, 2)
        ``C_p 𝒥_p C_p⁻¹``.

    Examples
    --------
    >>> import numpy as np
    >>> import rmtstab as rs
    >>> from rmtstab.dynamics.momentum import HeavyBall
    >>> from rmtstab.dynamics.momentum_passage import Bowl
    >>> problem = rs.UnlearningProblem.from_factors(np.eye(2))
    >>> ball = HeavyBall(problem.dynamics(0.1, 2, alpha=0.0, momentum=0.5), active=False)
    >>> bowl = Bowl.of(ball, 1.0)
    >>> bool(bowl.whole[0, 0] >= 1.0), round(bowl.at_rest(np.eye(2) / 2), 3)
    (True, 5.763)
    """

    level: float
    blocks: tuple[FloatArray, FloatArray, FloatArray]
    frames: FloatArray
    mean: FloatArray

    @classmethod
    def of(cls, ball: HeavyBall, level: float) -> Self | None:
        """Find one; None where the noise's problem could not be solved, or not be verified.

        Parameters
        ----------
        ball : HeavyBall
        level : float
            λ, above the growth factor.

        Returns
        -------
        Bowl or None
        """
        if not ball.is_resolved(level):
            return None
        first, cross, last, frames, mean = _modes(ball, level)
        if not _is_regular(frames):
            return None
        denominator = ball.denominator(level)
        wanted = np.diag(first)
        for residual in RESIDUALS:
            x = ball.settle(level, denominator * wanted * (1.0 + SLACK), residual)[0]
            x = 0.5 * (x + x.T)
            kick = ball.kick(x)
            kick = 0.5 * (kick + kick.T)
            kick.flat[:: len(x) + 1] += ball.noise_blur * float(np.linalg.norm(x))
            added = kick / denominator
            if is_positive(x, 0.0) and is_positive(x - added - wanted, 0.0):
                break
        else:
            return None
        # (λ S − 𝒥ᵀ S 𝒥)_pq = e₁e₁ᵀ
        b, a = ball.beta / level, ball.a
        beside = added * (b * b * a - b * a[:, None]) / (1.0 - b * b)
        behind = ball.beta**2 / level * added
        return cls(
            level,
            (added + np.diag(first), beside + np.diag(cross), behind + np.diag(last)),
            frames,
            mean,
        )

    @property
    def whole(self) -> FloatArray:
        """P, shape (2r, 2r)."""
        first, cross, last = self.blocks
        return np.block([[first, cross], [cross.T, last]])

    @property
    def norm(self) -> float:
        """``‖P‖`` as a form in the coordinates of `frames`, Frobenius's."""
        first, cross, last = self.blocks
        back = np.linalg.inv(self.frames)
        square = 0.0
        for k in (0, 1):
            for m in (0, 1):
                a, b = back[:, :, k], back[:, :, m]
                part = a[:, :1] * first * b[:, 0] + a[:, 1:] * last * b[:, 1]
                part += a[:, :1] * cross * b[:, 1] + a[:, 1:] * cross.T * b[:, 0]
                square += float(np.vdot(part, part))
        return math.sqrt(square)

    def at_rest(self, moment: FloatArray) -> float:
        """``⟨P, M₀⟩`` of the state (w₀, w₀).

        Parameters
        ----------
        moment : ndarray, shape (r, r)
            ``E w₀w₀ᵀ``.

        Returns
        -------
        float
        """
        first, cross, last = self.blocks
        return float(np.vdot(first + 2.0 * cross + last, moment))


def first_passage(
    update: Update, start: FloatArray, level: float, limit: int, growth: float
) -> float | None:
    """First k with ``tr M_k ≥ level · tr M₀``; ``inf`` if none up to the limit.

    Parameters
    ----------
    update : Update
        With momentum.
    start : ndarray, shape (2r, 2r)
        Second moment of the state, at rest, in D's eigenbasis, on the full range; not 0.
    level : float
        Above 1.
    limit : int
        Largest k.
    growth : float
        Upper end of the growth factor on the judged range; ``inf`` where none is known.

    Returns
    -------
    float or None
        None where it is not decided.

    References
    ----------
    Derived in docs/theory/trajectories.
    """
    ball = HeavyBall(update, active=False)
    growth = max(growth, 1.0, ball.mean_radius(ball.blur))
    if not math.isfinite(growth):
        return None
    bowl = Bowl.of(ball, growth * math.exp(SHARE * math.log(level) / limit))
    if bowl is None:
        return None
    r = len(ball.a)
    moment = start[:r, :r] / np.trace(start[:r, :r])
    # ⟨P, M_k⟩ starts at ⟨P, M₀⟩, and multiplies by λ at most
    if math.log(bowl.at_rest(moment)) + limit * math.log(bowl.level) < math.log(level):
        return math.inf
    steps = Arnoldi(ball, bowl, moment)
    while True:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # then undecided
            found = _looked_up(steps, bowl, level, limit)
        if found is not None and math.isnan(found):
            return None
        if found is not None or not steps.extend(1 + steps.size // SPARSE):
            return found


class Arnoldi:
    """Orthonormal matrices from M₀ on, and ``Φ_β`` compressed to them.

    Parameters
    ----------
    ball : HeavyBall
        On the full range.
    bowl : Bowl
        Its `frames` are the coordinates.
    moment : ndarray, shape (r, r)
        ``E w₀w₀ᵀ``, symmetric; w₋ = w₀.
    """

    def __init__(self, ball: HeavyBall, bowl: Bowl, moment: FloatArray) -> None:
        self._ball, r = ball, len(moment)
        self._mean, frames = bowl.mean, bowl.frames
        back = np.linalg.inv(frames)
        self._kicked, self._seen = frames[:, :, 0], back[:, 0, :]  # C e₁, and w = e₁ᵀ C⁻¹ ·
        self._distinct = r * (2 * r + 1)  # numbers of a symmetric matrix of side 2r
        width = int(min(self._distinct, WIDEST, max(12, BYTES / 24.0 / r**2)))
        self._basis = np.empty((width + 1, 3 * r * r))
        self._compressed = np.zeros((width, width))
        self._traces = np.zeros(width + 1)
        self.size, self.left = 0, math.inf
        first = self._packed(_outer(frames.sum(axis=2), moment))
        self.length = float(np.linalg.norm(first))
        self._append(first / self.length)
        self.extend(1)

    def _append(self, vector: FloatArray) -> None:
        self._basis[self.size] = vector
        self._traces[self.size] = float(np.trace(self._moment(self._blocks(vector))))

    def _blocks(self, vector: FloatArray) -> list[FloatArray]:
        """Blocks 11, 12 and 22 of the state; the second stands for its transpose too."""
        first, cross, last = vector.reshape(3, len(self._mean), -1)
        return [first, cross / math.sqrt(2.0), last]

    @staticmethod
    def _packed(blocks: list[FloatArray]) -> FloatArray:
        first, cross, last = blocks
        symmetric = 0.5 * (first + first.T), cross * math.sqrt(2.0), 0.5 * (last + last.T)
        return np.concatenate([block.ravel() for block in symmetric])

    def _moment(self, blocks: list[FloatArray]) -> FloatArray:
        """``E w wᵀ``."""
        first, cross, last = blocks
        one, other = self._seen.T
        mixed = one[:, None] * cross * other
        result: FloatArray = one[:, None] * first * one + other[:, None] * last * other
        result += mixed + mixed.T
        return result

    def _mapped(self, vector: FloatArray) -> FloatArray:
        blocks = self._blocks(vector)
        first, cross, last = blocks
        kicks = _outer(self._kicked, self._ball.kick(self._moment(blocks)))
        out = []
        for (i, j), kick in zip(((0, 0), (0, 1), (1, 1)), kicks, strict=True):
            a, b = self._mean[:, i], self._mean[:, j]
            block = kick + a[:, :1] * (first * b[:, 0] + cross * b[:, 1])
            block += a[:, 1:] * (cross.T * b[:, 0] + last * b[:, 1])
            out.append(block)
        return self._packed(out)

    def extend(self, steps: int) -> bool:
        """Take steps; False where there is no room for one, or nothing is left."""
        width = len(self._compressed)
        if self.size == width or self.left == 0.0:
            return False
        for _ in range(min(steps, width - self.size)):
            k = self.size
            image = self._mapped(self._basis[k])
            size = math.sqrt(image @ image)
            for _ in range(2):
                overlaps = self._basis[: k + 1] @ image
                image -= overlaps @ self._basis[: k + 1]
                self._compressed[: k + 1, k] += overlaps
            self.left = math.sqrt(image @ image)
            self.size = k + 1
            if self.left <= 4.0 * EPS * size or self.size == self._distinct:
                self.left = 0.0
                break
            if k + 1 < width:
                self._compressed[k + 1, k] = self.left
            self._append(image / self.left)
        return True

    @property
    def matrix(self) -> FloatArray:
        """T, shape (m, m)."""
        return self._compressed[: self.size, : self.size]

    @property
    def traces(self) -> FloatArray:
        """``⟨E₁₁, V_i⟩``, shape (m,)."""
        return self._traces[: self.size]


def _outer(vectors: FloatArray, moment: FloatArray) -> list[FloatArray]:
    """Blocks 11, 12 and 22 of ``(v_p v_qᵀ) M_pq``, vectors of shape (r, 2)."""
    one, other = vectors.T
    return [a[:, None] * moment * b for a, b in ((one, one), (one, other), (other, other))]


def _looked_up(steps: Arnoldi, bowl: Bowl, level: float, limit: int) -> float | None:
    """First passage where both ends agree on it; None where they do not, nan where none will.

    In units of λᵏ.
    """
    t, m = steps.matrix / bowl.level, steps.size
    count = min(STRETCH, limit + 1)
    states = np.empty((m, count))
    states[:, 0] = np.eye(m)[0] * steps.length
    filled = 1
    leap = t.copy()  # T^filled
    while filled < count:
        more = min(filled, count - filled)
        states[:, filled : filled + more] = leap @ states[:, :more]
        leap = leap @ leap
        filled += more
    leap = np.linalg.matrix_power(t, count)
    weight = bowl.norm / bowl.level
    rounding = ROUNDING * float(np.linalg.norm(steps.matrix, 2))
    missed = rounding * steps.length * bowl.norm  # of the start
    for first in range(0, limit + 1, count):
        if first:
            states = leap @ states
        misses = steps.left * np.abs(states[-1]) + rounding * np.linalg.norm(states, axis=0)
        ends = missed + np.concatenate([[0.0], np.cumsum(weight * misses)])
        k = np.arange(first, first + count)
        values, needed = steps.traces @ states, level * np.exp(-math.log(bowl.level) * k)
        hidden = np.flatnonzero(~(needed >= LEAST) & (k <= limit))
        last = hidden[0] if hidden.size else count
        possible = np.flatnonzero(~(values + ends[:-1] < needed) & (k <= limit))
        if possible.size and possible[0] < last:
            at = possible[0]
            return float(k[at]) if values[at] - ends[at] >= needed[at] else None
        if hidden.size:
            return math.nan
        missed = float(ends[-1])
    return math.inf


def _modes(
    ball: HeavyBall, level: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Entries 11, 12, 22 of a form P ⪰ e₁e₁ᵀ, 𝒥ᵀP𝒥 ⪯ λP of each mode, C with CᵀC = P, and C𝒥C⁻¹.

    With the eigenvalues x, y of 𝒥 and its left eigenvectors ``(1, −y)``, ``(1, −x)``,
    ``w = [x (w − y w₋) − y (w − x w₋)]/(x − y)``: a sum of two squares bounds w². Where x and y
    are near each other the sum over all steps, ``λ Σ_n λ^{-n−1}(e₁ᵀ𝒥ⁿ·)²``, is less.
    """
    a, beta = ball.a, ball.beta
    square = a * a - 4.0 * beta
    summed = level / ball.denominator(level).diagonal()
    b = beta / level
    cross = -summed * a * b / (1.0 + b)
    result = np.array([summed, cross, beta * b * summed])
    frames = np.zeros((len(a), 2, 2))  # of Cholesky, but of the eigenvectors where they are used
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(np.maximum(square, 0.0))
        # x = 1 − t, t² − (1 − β + c)t + c = 0: what a slow mode has of c is lost in a
        away = 1.0 - beta + ball.pull
        t = 2.0 * ball.pull / (away + np.sqrt(np.maximum(away * away - 4.0 * ball.pull, 0.0)))
        x = np.where(a > 0.0, 1.0 - t, 0.5 * (a - root))
        y = np.where(x != 0.0, beta / x, 0.0)
        share = np.maximum(np.abs(y * (1.0 - x) / (x * (1.0 - y))), LEAN)
        share = np.where(np.isfinite(share), share, 1.0)
        one, other = (1.0 + share) * (x / root) ** 2, (1.0 + 1.0 / share) * (y / root) ** 2
        real = np.array([one + other, -one * y - other * x, one * y * y + other * x * x])
        turned = 4.0 * beta / np.maximum(-square, 0.0)
        complex_ = turned * np.array([np.ones_like(a), -0.5 * a, np.full_like(a, beta)])
        below = (real[0] < summed) & (square > 0.0) & np.isfinite(real).all(axis=0)
        result[:, below] = real[:, below]
        turning = (complex_[0] < summed) & (square < 0.0)
        result[:, turning] = complex_[:, turning]
        frames[:, 0, 0] = np.sqrt(result[0])
        frames[:, 0, 1] = result[1] / frames[:, 0, 0]
        frames[:, 1, 1] = np.sqrt(result[2] - frames[:, 0, 1] ** 2)
        pairs = np.array([[np.sqrt(one), -np.sqrt(one) * y], [np.sqrt(other), -np.sqrt(other) * x]])
        frames[below] = pairs.transpose(2, 0, 1)[below]
    mean = np.zeros_like(frames)
    mean[:, 0, 0], mean[:, 0, 1], mean[:, 1, 0] = a, -beta, 1.0
    mean = frames @ mean @ np.linalg.inv(frames) if _is_regular(frames) else mean
    mean[below] = np.array([[x, 0.0 * x], [0.0 * x, y]]).transpose(2, 0, 1)[below]
    return result[0], result[1], result[2], frames, mean


def _is_regular(frames: FloatArray) -> bool:
    """Whether no frame is singular, as β next to nothing makes them."""
    return bool((np.abs(np.linalg.det(frames)) > 1e-100).all())
