r"""Resistance of the data models' escape at finite batch, in closed form.

First-order perturbation about the mean's escape v, ``Ψ = (h_R + C_R)/(h_F + C_F)`` with
``C_s = Σ_{(p,q)≠(1,1)} N(vvᵀ)_pq (H_s)_pq/(j₁² − j_pj_q)``. On the circle
``ζ = (1 − j₁e^{iθ})/η`` the weights are resolvents, ``1/(j₁² − j_pj_q) =
(1/2πη²)∮ dθ/((μ_p − ζ)(μ_q − ζ̄))``, and removing one sample at a time closes the products of
two resolvents. Derived in docs/theory/escape_noise.

Per set, with ``w_R = (1−α)/n_r``, ``w_F = −α/n_f``: ``U(ζ) = own/(−ζ) + V(ζ)`` is what is left
of ``z_iᵀ(D−ζ)⁻¹z_i`` without sample i, ``V = shared/(−ζ + (shared/dim) Σ_k w_k/(1+w_kU))``; the
sample's own curvature along v is ``h_i = ζ_i²``, with ``ζ_i`` Gaussian.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab._results import FloatArray
from rmtstab.sampling import Scheme
from rmtstab.theory.escape import Escape

POINTS = 240  # of the circle's integral
NODES = 8  # Gauss–Hermite nodes: exact for the polynomials met here
ROOT_STEPS = 100

ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True)
class BatchResistance(Record):
    """Resistance Ψ of an escape with the first correction by batch noise.

    Attributes
    ----------
    value : float
        Ψ; NaN where nothing escapes, or where descent overshoots before.
    mean_only : float
        Ψ at full batches.
    noise : float
        What noise adds to a loss relative to the escape itself, the larger of both sets: the
        value is good where this is small.
    """

    value: float
    mean_only: float
    noise: float


@dataclass(frozen=True)
class Model:
    """What the closed form knows of the data, as `rmtstab.theory.escape.deepest` takes it.

    Attributes
    ----------
    sizes : (int, int)
    dim : int
    own, shared, signal : float
    classes : int
    """

    sizes: tuple[int, int]
    dim: int
    own: float
    shared: float
    signal: float
    classes: int


def with_batches(
    model: Model,
    found: Escape,
    sharpness: float,
    step_size: float,
    batch_size: tuple[float, float],
    alpha: float,
    sampling: str,
) -> BatchResistance:
    """Resistance of a model's escape under mini-batches.

    Parameters
    ----------
    model : Model
    found : Escape
        The mean's escape.
    sharpness : float
        ``λ_max(H_R)``: beyond ``(1−α)ηλ_max = 2`` descent overshoots.
    step_size : float
        In units of 1/σ_p².
    batch_size : (float, float)
    alpha : float
        Mixing in (0, 1).
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    BatchResistance

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or outside its range.

    Examples
    --------
    >>> from rmtstab.theory import signal_plus_noise
    >>> full, half = (
    ...     signal_plus_noise.resistance(192, 48, 600, 0.3, 0.3, 1e-3, batch) for batch in
    ...     ((192, 48), (96, 24))
    ... )
    >>> full.value == full.mean_only, half.value < half.mean_only
    (True, True)
    """
    eta = _checks.real("step_size", step_size, low=0.0, low_open=True)
    if alpha < 1e-6:  # beyond: differences of 1 and alpha's square meet rounding
        raise ValueError(f"alpha must be at least 1e-6, got {alpha:g}")
    if not 1e-100 <= eta <= 1e100:
        raise ValueError(f"step_size must lie in [1e-100, 1e100], got {eta:g}")
    scheme = Scheme.named(sampling)
    batches = scheme.check_batches(batch_size, *model.sizes, alpha)
    still = (1.0 - alpha) * eta * sharpness >= 2.0 + eta * found.curvature
    if math.isnan(found.resistance) or still:
        return BatchResistance(math.nan, found.resistance, math.nan)
    pairs = [scheme.coefficients(n, b) for n, b in zip(model.sizes, batches, strict=True)]
    noise = [(eta * a) ** 2 * c for a, (c, _) in zip((1.0 - alpha, alpha), pairs, strict=True)]
    side = _Escaping(model, found, alpha)
    added = side.within(eta, np.array(noise), scheme.fixed_size)
    added += side.with_escape(eta, np.array(noise), scheme.fixed_size)
    retain, forget = 1.0 + added
    return BatchResistance(
        float(found.resistance * retain / forget),
        found.resistance,
        float(np.abs(added).max()),
    )


class _Escaping:
    """The escape direction in the limit: every sample's projection on it, set by set.

    Samples are nodes: those of one set and class with one value of the Gaussian ζ, ``count`` of
    them (a real number).
    """

    def __init__(self, model: Model, found: Escape, alpha: float) -> None:
        self.model, self.x = model, found.curvature
        n = np.array(model.sizes, dtype=float)
        self.weights = np.array([(1.0 - alpha) / n[0], -alpha / n[1]])
        forget = self.x / (alpha - (1.0 - alpha) * found.resistance)
        self.along = np.array([found.resistance * forget, forget])  # vᵀH_sv
        # Ψ = ((1 + w_F U)/(1 + w_R U))² at ζ = −x
        root = math.sqrt(found.resistance)
        self.u = (1.0 - root) / (root * self.weights[0] - self.weights[1])
        gains = 1.0 + self.weights * self.u
        own, shared = model.own, model.shared
        share = self._signal_share(n, gains) if found.through_signal else 0.0
        spread = self.along[1] * gains[1] ** 2 - model.signal * share / model.classes
        nodes, chances = np.polynomial.hermite_e.hermegauss(NODES)
        chances /= chances.sum()
        parts = []
        for s in (0, 1):
            for c in range(model.classes):
                mean = math.sqrt(model.signal) if c == 0 else 0.0
                own_value = (mean * math.sqrt(share) + math.sqrt(max(spread, 0.0)) * nodes) / gains[
                    s
                ]
                signal = (mean - math.sqrt(share) * own_value) / math.sqrt(1.0 - share)
                ones = np.ones(NODES)
                parts.append((s * ones, n[s] / model.classes * chances, own_value, signal))
        which, self.count, self.zeta, self.signal = (
            np.concatenate(column) for column in zip(*parts, strict=True)
        )
        self.which = which.astype(int)
        self.own, self.shared = own, shared

    def _signal_share(self, n: FloatArray, gains: FloatArray) -> float:
        """Squared component of v along its class's signal: the residue of that resolvent entry."""
        m, x = self.model, self.x
        v = self.u - m.own / x
        ladder = float(np.sum(n * (self.weights / gains) ** 2))
        slope = v * v / m.shared * (1.0 + m.shared / m.dim * ladder * m.own / x**2)
        slope /= 1.0 - v * v * ladder / m.dim
        steepness = float(m.own / x**2 + slope)
        return 1.0 / (1.0 + m.signal * ladder * steepness / m.classes)

    def with_escape(self, eta: float, noise: FloatArray, fixed: bool) -> FloatArray:
        """``(1, q)`` components: ``(2/j₁η) (N v)ᵀ(D + x)⁻¹ H_s v`` off v, over ``vᵀH_sv``."""
        which, count, zeta = self.which, self.count, self.zeta
        w = self.weights[which]
        pushed = noise[which] * (zeta**3 - (self.along[which] * zeta if fixed else 0.0))
        diagonal = self.u / (1.0 + w * self.u)
        bound = w * zeta  # D v = −x v binds the samples: Σ w_i ζ_i z_i = 0 off v
        size = np.sum(count * diagonal * bound**2)

        def product(a: FloatArray, b: FloatArray) -> float:
            """``aᵀ Zᵀ(D + x)⁻¹Z b`` of the noise."""
            free = np.sum(count * a * diagonal * b)
            tied = np.sum(count * a * diagonal * bound) * np.sum(count * b * diagonal * bound)
            return float(free - tied / size)

        row = self.signal * w
        seen = self.signal - diagonal * row
        seen = seen + diagonal * bound * np.sum(count * diagonal * bound * row) / size
        depth = self.x + float(np.sum(count * row * self.signal)) - product(row, row)
        found = []
        for s in (0, 1):
            b = (which == s) * zeta / self.model.sizes[s]
            value = product(pushed, b)
            if self.model.signal:
                value += float(np.sum(count * pushed * seen) * np.sum(count * b * seen)) / depth
            found.append(2.0 / ((1.0 + eta * self.x) * eta) * value / self.along[s])
        return np.array(found)

    def within(self, eta: float, noise: FloatArray, fixed: bool) -> FloatArray:
        """Components off v: the circle's integral of two resolvents, over ``vᵀH_sv``."""
        model, w = self.model, self.weights[:, None]
        n = np.array(model.sizes, dtype=float)[:, None]
        nodes, lengths = np.polynomial.legendre.leggauss(POINTS)
        t = 0.5 * (nodes + 1.0)
        angle, lengths = np.pi * t**3, 1.5 * np.pi * t**2 * lengths  # dense where ζ is near −x
        points = (1.0 - (1.0 + eta * self.x) * np.exp(1j * angle)) / eta
        v = self._shared_part(points)
        u = self.own / (-points) + v
        damped = np.abs(1.0 + w * u) ** 2
        rung = np.abs(v) ** 2 / model.dim
        ladder = rung / (1.0 - rung * np.sum(n * w**2 / damped, axis=0))
        pushed = np.sum((noise * self.along)[:, None] * n / damped, axis=0)
        parts = (noise * self.along)[:, None] * np.abs(u) ** 2 / damped
        parts = parts + pushed * ladder / damped
        if model.signal:
            parts = parts + self._through_signal(points, u, ladder, noise, fixed)
        total = parts @ lengths / (np.pi * eta**2)
        result: FloatArray = total / self.along
        return result

    def _through_signal(
        self, points: ComplexArray, u: ComplexArray, ladder: FloatArray, noise: FloatArray,
        fixed: bool,
    ) -> FloatArray:  # fmt: skip
        """Both resolvents through the part of the signal that v leaves over."""
        which, count = self.which, self.count[:, None]
        w, signal = self.weights[which][:, None], self.signal[:, None]
        gain = 1.0 + w * u
        damped = np.abs(gain) ** 2
        coupled = np.sum(count * (w * signal) ** 2 / damped, axis=0)
        seen = (signal**2 + ladder * coupled) / damped  # mean square of each sample's share
        depth = np.abs(-points + np.sum(count * w * signal**2 / gain, axis=0)) ** 2
        pushed = np.sum(count * (noise[which] * self.zeta**2)[:, None] * seen, axis=0)
        losses = []
        for s, size in enumerate(self.model.sizes):
            own = (which == s)[:, None] * count
            losses.append(np.sum(own * seen, axis=0) / size)
            if fixed:
                mean = np.sum(own * self.zeta[:, None] * signal / gain, axis=0)
                pushed = pushed - noise[s] * np.abs(mean) ** 2 / size
        result: FloatArray = np.array(losses) * pushed / depth
        return result

    def _shared_part(self, points: ComplexArray) -> ComplexArray:
        """V on the circle, by Newton's method from far away, where ``V = shared/(−ζ)``."""
        n, w = np.array(self.model.sizes, dtype=float), self.weights
        rate = self.shared / self.model.dim
        found = np.empty_like(points)
        v = self.shared / -points[-1]
        for k in range(len(points) - 1, -1, -1):
            z = points[k]
            for _ in range(ROOT_STEPS):
                gain = 1.0 + w * (self.own / -z + v)
                level = -z + rate * np.sum(n * w / gain)
                slope = level - v * rate * np.sum(n * (w / gain) ** 2)
                step = (v * level - self.shared) / slope
                v = v - step
                if abs(step) < 1e-13 * abs(v):
                    break
            found[k] = v
        return found
