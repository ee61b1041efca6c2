r"""Heavy-ball momentum: ``w⁺ = Ĵ w + β (w − w₋)``, exactly, by r×r problems.

The state (w, w₋) obeys ``Φ_β(M) = 𝒥 M 𝒥ᵀ + [[η² N(M₁₁), 0], [0, 0]]``, which is
not self-adjoint. But λ is an eigenvalue above those of the mean exactly when
``g_λ ∘ η²N(X)/λ = X`` has a solution, where g_λ turns injected noise into
stationary second moments of the mean dynamics scaled by ``λ^{-1/2}``: with
``a = 1 + β − η(μ + λ_wd)``,

    λ/g_λ = λ [ (1−b)² ((1+b)² − a_p a_q/λ) + b (a_p − a_q)²/λ ] / (1 − b²),  b = β/λ.

For fixed X the scalar equation ``Σ (λ/g_λ) X² = η² ⟨X, N(X)⟩`` bounds ρ from
below; solved in turn with the eigenproblem it converges quadratically
(docs/theory/critical_values).
"""

from __future__ import annotations

import math

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.dynamics import centred, eigen
from rmtstab.dynamics.certificate import ROUNDING, TINY, Enclosure
from rmtstab.dynamics.second_moment import SecondMoment
from rmtstab.dynamics.update import Update

ROUNDS = 40
STEPS = 2000  # of conjugate gradients


class HeavyBall:
    """``Φ_β`` on (2r, 2r) second moments of (w_k, w_{k−1}), in D's eigenbasis.

    ``active`` restricts to the judged range; ``extra`` adds coordinates without curvature.
    """

    def __init__(self, update: Update, active: bool = True, extra: int = 0) -> None:
        basis = update.basis.padded(extra)
        self.mix = basis.mix[: basis.n_active] if active else basis.mix
        # the second: rounding of ⟨M, η²N(M)⟩, ‖M‖ = 1
        self.noise, self.noise_blur = centred.noise(update, active, extra)
        self.beta, self.gain = update.momentum, update.step_size**2
        self.pull = update.step_size * (self.mix + update.weight_decay)
        self.a = 1.0 + self.beta - self.pull
        self.blur = update.multiplier_rounding  # of each a

    @property
    def side(self) -> int:
        """2r."""
        return 2 * len(self.a)

    def kick(self, m: FloatArray) -> FloatArray:
        """``η² N(M)``.

        Parameters
        ----------
        m : ndarray, shape (r, r)

        Returns
        -------
        ndarray, shape (r, r), float64
        """
        out = self.noise.apply(m)
        if self.noise.shift:
            out += self.noise.shift * np.outer(self.mix, self.mix) * m
        return self.gain * out

    def __call__(self, m: FloatArray) -> FloatArray:
        """Apply ``Φ_β`` once."""
        r, beta = len(self.a), self.beta
        m11, m12, m21, m22 = m[:r, :r], m[:r, r:], m[r:, :r], m[r:, r:]
        left, right = self.a[:, None], self.a[None, :]
        out = np.empty_like(m)
        out[:r, :r] = left * m11 * right - beta * (left * m12 + m21 * right) + beta**2 * m22
        out[:r, :r] += self.kick(np.ascontiguousarray(m11))
        out[:r, r:] = left * m11 - beta * m21
        out[r:, :r] = m11 * right - beta * m12
        out[r:, r:] = m11
        return out

    def mean_radius(self, shift: float = 0.0) -> float:
        """Largest squared modulus of the mean multipliers ``z² − a z + β = 0``.

        Parameters
        ----------
        shift : float
            Added to every ``|a|``, with which it rises.

        Returns
        -------
        float
        """
        if not len(self.a):
            return 0.0
        a = np.maximum(np.abs(self.a) + shift, 0.0)
        square = a**2 - 4.0 * self.beta
        real = 0.5 * (a + np.sqrt(np.maximum(square, 0.0)))
        return float(np.where(square >= 0.0, real**2, self.beta).max())

    def denominator(self, level: float) -> FloatArray:
        """``λ/g_λ`` at λ = level; positive above `mean_radius`.

        Parameters
        ----------
        level : float

        Returns
        -------
        ndarray, shape (r, r), float64
        """
        b = self.beta / level
        a = self.a / math.sqrt(level)
        total = (1.0 - b) ** 2 * ((1.0 + b) ** 2 - np.outer(a, a)) + b * (a[:, None] - a) ** 2
        result: FloatArray = level * total / (1.0 - b * b)
        return result

    def denominator_blur(self, level: float) -> FloatArray:
        """What `blur` changes `denominator` by, at most.

        Parameters
        ----------
        level : float

        Returns
        -------
        ndarray, shape (r, r), float64
        """
        b, size = self.beta / level, np.abs(self.a) + self.blur
        slope = (1.0 - b) ** 2 * (size[:, None] + size)
        slope += 4.0 * b * (np.abs(self.a[:, None] - self.a) + 2.0 * self.blur)
        result: FloatArray = self.blur / (1.0 - b * b) * slope
        return result

    def is_resolved(self, level: float) -> bool:
        """Whether every denominator is positive, whatever rounding did to it.

        Parameters
        ----------
        level : float

        Returns
        -------
        bool
        """
        return bool((self.denominator(level) > self.denominator_blur(level)).all())

    def settle(self, level: float, right: FloatArray, tolerance: float) -> tuple[FloatArray, float]:
        """Solve ``(λ/g_λ) ∘ X − η² N(X) = right`` by conjugate gradients, preconditioned by g_λ.

        Parameters
        ----------
        level : float
            λ, above the growth factor: the map is then positive definite.
        right : ndarray, shape (r, r)
        tolerance : float
            Relative residual at which to stop.

        Returns
        -------
        x : ndarray, shape (r, r)
        residual : float
            Relative.
        """
        inverse = self.denominator(level)
        right = 0.5 * (right + right.T)
        x = np.zeros_like(right)
        residual = right.copy()
        direction = residual / inverse
        square = float(np.vdot(residual, direction))
        goal = tolerance**2 * square
        for _ in range(STEPS):
            if square <= goal:
                break
            moved = inverse * direction - self.kick(direction)
            length = square / float(np.vdot(direction, moved))
            x += length * direction
            residual -= length * moved
            scaled = residual / inverse
            previous, square = square, float(np.vdot(residual, scaled))
            direction = scaled + (square / previous) * direction
        scale = float(np.linalg.norm(right))
        gap = float(np.linalg.norm(right - inverse * x + self.kick(x)))
        return x, gap / scale if scale else 0.0


def growth(update: Update) -> Enclosure:
    """Growth factor of ``Φ_β``, with the block M₁₁ of its top eigenmatrix.

    Parameters
    ----------
    update : Update

    Returns
    -------
    Enclosure
        Rounding of the mean's multipliers and of the noise is counted in both ends: near
        critical damping, ``a² = 4β``, a change ε of these moves ρ by ``ε^{1/2}`` and ``ε^{1/3}``.
    """
    ball = HeavyBall(update)
    r = len(ball.a)
    least = ball.mean_radius()
    lowest = ball.mean_radius(-ball.blur)
    eye = np.eye(r)
    spent = 1
    loudness = float(np.abs(ball.kick(eye)).sum(axis=1).max(initial=0.0))  # ‖N‖ at most
    if loudness <= ball.noise_blur:
        top = int(np.argmax(np.abs(ball.a)))
        upper = _beyond_noise(ball, ball.mean_radius(ball.blur), loudness + ball.noise_blur)
        return Enclosure(lowest, upper, 0.0, np.outer(eye[top], eye[top]), spent)
    level = max(least * (1.0 + 1e-3), 1e-12)
    x = eye
    change = math.inf
    for _ in range(ROUNDS):
        if not ball.is_resolved(level):
            break
        found = _problem(ball, level, certify=False)
        spent += found.applications
        x = found.matrix / np.sqrt(ball.denominator(level))
        root = _scalar_root(ball, x, level, least)
        # below: ρ may still lie between the mean's radius and this level
        updated = least + 0.01 * (level - least) if root is None else root
        spent += 1
        change = abs(updated - level)
        level = updated
        if change <= 1e-13 * level or level <= least * (1.0 + 1e-12):
            break
    surely = _scalar_root(ball, x, level, least, blurred=True)
    spent += 1
    upper = math.inf
    for delta in (1e-9, 1e-7, 1e-5, 1e-3, 1e-1):
        at = max(level, least) * (1.0 + delta)
        if not ball.is_resolved(at):
            continue
        found = _problem(ball, at, certify=True)
        spent += found.applications
        if found.upper < 1.0:
            upper = at
            break
    x = 0.5 * (x + x.T)
    x /= np.linalg.norm(x)
    value = max(lowest, surely or 0.0)
    return Enclosure(value, upper, change, x if np.trace(x) > 0.0 else -x, spent)


def _beyond_noise(ball: HeavyBall, least: float, loudness: float) -> float:
    """Level above the mean's radius at which a noise of this norm has no eigenvalue 1."""
    delta = ROUNDING
    while delta < 1.0:
        at = max(least, TINY) * (1.0 + delta)
        if (ball.denominator(at) - ball.denominator_blur(at)).min() > loudness:
            return at
        delta *= 2.0
    return math.inf


def _problem(ball: HeavyBall, level: float, certify: bool) -> Enclosure:
    """Top eigenvalue of ``√g ∘ η²N(√g ∘ ·)/λ``, at most 1 exactly when ρ ≤ λ.

    Certified, it is of the least denominators and the loudest noise that rounding leaves.
    """
    denominator = ball.denominator(level)
    if certify:
        denominator -= ball.denominator_blur(level)
    root = 1.0 / np.sqrt(denominator)
    elementwise = ball.noise.shift * ball.gain * np.outer(ball.mix, ball.mix)
    if certify:
        elementwise += ball.noise_blur
    psi = SecondMoment(ball.noise, elementwise * root * root, ball.gain, root)
    start = np.diag(root)
    return eigen.leading(psi.symmetric, start, certify=certify, weights=lambda _: (root, root))


def _scalar_root(
    ball: HeavyBall, x: FloatArray, level: float, least: float, blurred: bool = False
) -> float | None:
    """Zero of ``Σ (λ/g_λ) X² − ⟨X, η²N(X)⟩`` nearest to ``level``, None if none.

    ρ is above every λ where the difference is negative; blurred, whatever rounding did to it.
    """
    from scipy.optimize import brentq

    squares = x * x
    target = float(np.vdot(x, ball.kick(x)))
    if blurred:
        target -= ball.noise_blur * float(squares.sum())

    def excess(at: float) -> float:
        denominator = ball.denominator(at)
        if blurred:
            denominator += ball.denominator_blur(at)
        return float(np.vdot(denominator, squares)) - target

    if excess(level) < 0.0:
        low, high = level, 2.0 * level
        while excess(high) < 0.0:
            low, high = high, 4.0 * high
    else:
        floor = max(least + 0.01 * (level - least), 1e-14)
        low, high = level, level
        while excess(low) >= 0.0:
            if low <= floor:
                return None
            low, high = max(floor, least + 0.25 * (low - least)), low
    return float(brentq(excess, low, high, xtol=1e-300, rtol=1e-14))


def step_size_weights(d: FloatArray, beta: float) -> tuple[FloatArray, FloatArray]:
    """``(L, W)`` of the pencil ``L − η(W + N)``, elementwise: its first zero is η*.

    ``L = (1−β)(d_p + d_q)`` and
    ``W = (1−β)/(1+β) d_p d_q − β/(1−β²) (d_p − d_q)²``.

    Parameters
    ----------
    d : ndarray, shape (r,)
        Eigenvalues of D, weight decay added.
    beta : float
        In [0, 1).

    Returns
    -------
    L, W : ndarray, shape (r, r), float64
    """
    left = (1.0 - beta) * (d[:, None] + d)
    products = (1.0 - beta) / (1.0 + beta) * np.outer(d, d)
    return left, products - beta / (1.0 - beta * beta) * (d[:, None] - d) ** 2
