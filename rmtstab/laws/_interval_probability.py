r"""Probability that every eigenvalue of a classical ensemble lies in an interval, exactly.

Eigenvalues :math:`t = t(y)` with joint density :math:`\propto |\Delta(t)|^\beta\prod_k w(t_k)`.
With :math:`e_0, e_1, \dots` the polynomials in `t`, times the square root of the weight, that are
orthonormal *on the interval* `J`, and :math:`h_i` the squared norms of the monic ones,

.. math:: P_2(J) \propto \prod_i h_i, \qquad
    P_1(J) \propto \prod_i \sqrt{h_i}\;\mathrm{Pf}\Big[\iint_{J^2}
    \mathrm{sgn}(y - x)\,e_i(x)\,e_j(y)\,dx\,dy\Big]

(Andréief; de Bruijn, with a border of :math:`\int_J e_i` for an odd number of eigenvalues). In this
basis nothing is ill-conditioned: logarithms of probabilities keep their relative
accuracy however small. The probability of the complement, where small, is taken from the
orthonormal functions of the whole range restricted to it. The variable `y` (a singular value, or
an angle) makes all integrands analytic. Derived in docs/laws/finite_n.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtstab.laws.base import FloatArray

REACH = 10.0  # in deviations of the weight
SMALL = -40.0  # logarithm of functions whose squares do not count


@dataclass(frozen=True)
class Ensemble:
    """Eigenvalues ``place(y)``, with ``exp(log_weight(y)) dy`` the square of e₀'s weight.

    In y the limit spectrum has the ends ``bulk`` and the half-width ``spread``, and the
    weight falls at least as a Gaussian of deviation ``unit``.
    """

    size: int
    dyson_index: int
    ends: tuple[float, float]
    bulk: tuple[float, float]
    spread: float
    unit: float
    place: Callable[[FloatArray], FloatArray]
    log_weight: Callable[[FloatArray], FloatArray]
    log_constant: float
    # changes of the two from a point to points at small distances beyond it
    place_beyond: Callable[[float, FloatArray], FloatArray]
    weight_beyond: Callable[[float, FloatArray], FloatArray]

    def window(self, left: float, right: float) -> tuple[float, float]:
        """Narrow an interval of y to where the functions are not negligible: start and length."""
        reach = REACH * self.unit
        low = max(left, self.ends[0], min(self.bulk[0], right - 2.0 * self.spread) - reach)
        if low < right < self.bulk[0]:  # all at the end: Laguerre functions of its rate
            fall = self.log_weight(np.array([right, right * (1.0 - 1e-6)]))
            rate = float(fall[0] - fall[1]) / (1e-6 * right)
            low = max(low, right - (4.0 * self.size + 100.0) / max(rate, 1e-300))
        high = min(right, self.ends[1], max(self.bulk[1], left + 2.0 * self.spread) + reach)
        if self.bulk[1] < left < high:  # likewise
            rise = self.log_weight(np.array([left, left * (1.0 + 1e-6)]))
            rate = float(rise[0] - rise[1]) / (1e-6 * left)
            return low, min(high - low, (4.0 * self.size + 100.0) / max(rate, 1e-300))
        return low, high - low

    def log_probability(self, left: float, right: float) -> float:
        """Logarithm of the probability that all lie in ``[left, right]``, in y."""
        left, length = self.window(left, right)
        if not length > 0.0:
            return -math.inf
        basis = _basis(self, left, length)
        total = self.log_constant + basis.log_norms
        if self.dyson_index == 2:
            return min(total, 0.0)
        return min(total + 0.5 * float(np.linalg.slogdet(basis.bordered)[1]), 0.0)

    def log_exceedance(self, y: float, upper: bool) -> float:
        """Logarithm of the probability that some eigenvalue lies above (or below) y.

        Relatively accurate where the probability is small.
        """
        whole = self._whole
        left, length = self.window(y, self.ends[1]) if upper else self.window(self.ends[0], y)
        if not length > 0.0:
            return -math.inf
        rule = _rule(_nodes(self, length))
        values, size = whole.functions(self, left + length * rule.node)
        weights = length * rule.weight
        if self.dyson_index == 2:
            # squared singular values: each with its own relative accuracy
            t = np.linalg.svd(values * np.sqrt(weights)[:, None], compute_uv=False) ** 2
            if size < SMALL:
                return 2.0 * size + math.log(float(np.sum(t)))
            t = np.minimum(t * math.exp(2.0 * size), 1.0 - 1e-16)
            return math.log(-math.expm1(float(np.sum(np.log1p(-t)))))
        v = weights @ values
        if size < SMALL:  # the first order is all there is
            return size + math.log(float(whole.gradient[upper] @ v))
        values, v = values * math.exp(size), v * math.exp(size)
        own = _skew(values, weights, length * (rule.integral @ values), v)
        cross = np.outer(whole.totals - v, v)
        change = own + (cross - cross.T if upper else cross.T - cross)
        return math.log(-math.expm1(0.5 * _log_det(whole.inverse @ _border(change, v))))

    def fixed_trace(self, y: float, shape: float, angles: FloatArray) -> Any:
        r"""``P(all ≤ x; weight w^{1+iτ})/(1+iτ)^{-shape}`` at the angles τ, the first being 0.

        Only for eigenvalues whose density falls as ``exp(-β t/2)``, of trace
        ``Gamma(shape)``: what an inverse Laplace transform in the trace needs.
        """
        turns = 0.25 * float(angles[-1]) * y * y  # nodes for the oscillation at the last angle
        basis = _basis(self, *self.window(self.ends[0], y), turns)
        turned = np.exp(-0.5j * np.outer(angles, self.place(basis.points)))
        turned = turned[:, :, None] * basis.values
        if self.dyson_index == 2:
            gram = np.swapaxes(turned, 1, 2) @ (basis.weights[:, None] * turned)
            sign, log = np.linalg.slogdet(gram)
            log = log + np.log(sign)
        else:
            u = np.swapaxes(turned, 1, 2) @ basis.weights
            inner = (basis.weights[:, None] * basis.integral).T @ turned  # ∫ from each node on
            skew = 2.0 * np.swapaxes(turned, 1, 2) @ inner
            skew -= u[:, :, None] * u[:, None, :]
            skew = 0.5 * (skew - np.swapaxes(skew, 1, 2))
            if self.size % 2:
                full = np.zeros((len(angles), self.size + 1, self.size + 1), complex)
                full[:, :-1, :-1], full[:, :-1, -1], full[:, -1, :-1] = skew, u, -u
                skew = full
            log = _log_pfaffian(skew)
            log -= 1j * log[0].imag  # positive at τ = 0
        return np.exp(self.log_constant + basis.log_norms + log + shape * np.log1p(1j * angles))

    @cached_property
    def _whole(self) -> _Basis:
        return _basis(self, *self.window(*self.ends))


@dataclass(frozen=True)
class _Rule:
    """Gauss–Legendre on [0, 1], with the matrix of integrals from 0 to each node."""

    node: FloatArray
    weight: FloatArray
    integral: FloatArray


def _gauss_legendre(count: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights on [-1, 1] by Newton's method on the recurrence: quadratic cost."""
    order = np.arange(1, count + 1)
    x = -np.cos(np.pi * (order - 0.25) / (count + 0.5)) * (
        1.0 - (1.0 - 1.0 / count) / (8.0 * count**2)
    )
    for _ in range(4):
        before, value = np.ones(count), x.copy()
        for k in range(2, count + 1):
            before, value = value, ((2 * k - 1) * x * value - (k - 1) * before) / k
        slope = count * (before - x * value) / (1.0 - x * x)
        x = x - value / slope
    return x, 2.0 / ((1.0 - x * x) * slope**2)


@lru_cache(maxsize=32)
def _rule(count: int) -> _Rule:
    node, weight = _gauss_legendre(count)
    order = np.arange(count)
    values = np.polynomial.legendre.legvander(node, count)
    # ∫ P_l from -1: (P_{l+1} - P_{l-1})/(2l+1), P_{-1} = -1
    before = np.column_stack([-np.ones(count), values[:, : count - 1]])
    antiderivative = (values[:, 1:] - before) / (2 * order + 1)
    to_coefficients = (order + 0.5)[:, None] * values[:, :count].T * weight
    return _Rule(0.5 * (1.0 + node), 0.5 * weight, 0.5 * antiderivative @ to_coefficients)


def _nodes(ensemble: Ensemble, length: float, turns: float = 0.0) -> int:
    """Nodes that resolve every product of two functions; few sizes, so that rules are shared."""
    density = 1.05 * ensemble.size / ensemble.spread + 3.0 / ensemble.unit
    # on a short interval the functions are Laguerre's, of as many turns as ever
    least = 40.0 + max(length * density, 4.0 * ensemble.size) + turns
    power = 1 << math.ceil(math.log2(least))
    return 3 * power // 4 if least <= 3 * power // 4 else power


@dataclass(frozen=True)
class _Basis:
    points: FloatArray
    weights: FloatArray
    integral: FloatArray
    values: FloatArray  # (n_points, size)
    log_norms: float
    diagonal: FloatArray  # of the Jacobi matrix
    off_diagonal: FloatArray
    log_first: float  # logarithm of the norm of e₀'s weight

    @cached_property
    def totals(self) -> FloatArray:
        return self.weights @ self.values

    @cached_property
    def bordered(self) -> FloatArray:
        """The matrix of which de Bruijn's formula takes the Pfaffian."""
        skew = _skew(self.values, self.weights, self.integral @ self.values, self.totals)
        return _border(skew, self.totals)

    @cached_property
    def inverse(self) -> FloatArray:
        """Inverse of that matrix: well-conditioned, its basis being orthonormal."""
        return np.asarray(np.linalg.inv(self.bordered))

    @cached_property
    def gradient(self) -> tuple[FloatArray, FloatArray]:
        """Slopes of the exceedance in the integrals over a small lower, or upper, remainder."""
        size = self.values.shape[1]
        bulk = self.inverse[:size, :size] @ self.totals
        edge = self.inverse[:size, size] if size % 2 else np.zeros(size)
        return -bulk - edge, bulk - edge

    def functions(self, ensemble: Ensemble, points: FloatArray) -> tuple[FloatArray, float]:
        """Orthonormal functions elsewhere, by their recurrence, and the logarithm of their unit."""
        t = ensemble.place(points)
        out = np.empty((points.size, ensemble.size))
        out[:, 0] = 1.0
        for k in range(1, ensemble.size):
            out[:, k] = (t - self.diagonal[k - 1]) * out[:, k - 1]
            if k > 1:
                out[:, k] -= self.off_diagonal[k - 2] * out[:, k - 2]
            out[:, k] /= self.off_diagonal[k - 1]
        first = 0.5 * (ensemble.log_weight(points) - self.log_first)
        size = float(np.max(first + np.log(np.max(np.abs(out), axis=1))))
        with np.errstate(under="ignore"):
            out *= np.exp(first - size)[:, None]
        return _flush(out), size


def _basis(ensemble: Ensemble, left: float, length: float, turns: float = 0.0) -> _Basis:
    """Orthonormalise powers of t on an interval, by Lanczos with full orthogonalisation."""
    size = ensemble.size
    rule = _rule(_nodes(ensemble, length, turns))
    beyond, weights = length * rule.node, length * rule.weight
    points = left + beyond
    if left > ensemble.bulk[1]:  # its points may round to one, their distances do not
        log_weight = ensemble.log_weight(np.array([left])) + ensemble.weight_beyond(left, beyond)
    else:
        log_weight = ensemble.log_weight(points)
    top = float(np.max(log_weight))
    with np.errstate(under="ignore"):
        first = np.sqrt(weights * np.exp(log_weight - top))
    norm = float(np.linalg.norm(first))
    origin = float(ensemble.place(np.array([left]))[0])
    place = ensemble.place_beyond(left, beyond)  # of norms, nothing depends on the origin
    unit = float(np.max(np.abs(place)))  # else squares may underflow
    place = place / unit
    vectors = np.empty((size, points.size))
    vectors[0] = first / norm
    diagonal, off = np.empty(size), np.empty(max(size - 1, 0))
    for k in range(size):
        step = place * vectors[k]
        diagonal[k] = step @ vectors[k]
        if k == size - 1:
            break
        for _ in range(2):
            step -= (vectors[: k + 1] @ step) @ vectors[: k + 1]
        off[k] = max(float(np.linalg.norm(step)), 1e-300)  # 0 where all points round to one
        vectors[k + 1] = step / off[k]
    log_first = top + 2.0 * math.log(norm)
    log_h = log_first + 2.0 * np.concatenate([[0.0], np.cumsum(np.log(off) + math.log(unit))])
    return _Basis(
        points=points,
        weights=weights,
        integral=length * rule.integral,
        values=np.ascontiguousarray(_flush(vectors / np.sqrt(weights)).T),
        log_norms=math.fsum(log_h) * (1.0 if ensemble.dyson_index == 2 else 0.5),
        diagonal=origin + unit * diagonal,
        off_diagonal=unit * off,
        log_first=log_first,
    )


def _log_det(change: FloatArray) -> float:
    """``log det(I - change)``, relatively accurate for a small change."""
    if np.linalg.norm(change) > 0.1:
        return float(np.linalg.slogdet(np.eye(len(change)) - change)[1])
    total, power = 0.0, change
    for k in range(1, 17):
        total -= float(np.trace(power)) / k
        power = power @ change
    return total


def _flush(values: FloatArray) -> FloatArray:
    """Set to zero what only makes products denormal, and slow."""
    values[np.abs(values) < 1e-140] = 0.0
    return values


def _log_pfaffian(skew: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Logarithm of the Pfaffian of each matrix of a stack, by elimination with pivots."""
    count, size, _ = skew.shape
    every, log = np.arange(count), np.zeros(count, complex)
    skew = skew.copy()
    for k in range(0, size, 2):
        pivot = k + 1 + np.argmax(np.abs(skew[:, k, k + 1 :]), axis=1)
        for axis in (1, 2):
            view = skew if axis == 1 else np.swapaxes(skew, 1, 2)
            swapped = view[every, pivot].copy()
            view[every, pivot] = view[:, k + 1]
            view[:, k + 1] = swapped
        log += np.log(skew[:, k, k + 1]) + np.where(pivot == k + 1, 0.0, 1j * np.pi)
        above, below = skew[:, k, k + 2 :], skew[:, k + 1, k + 2 :]
        change = below[:, :, None] * above[:, None, :] / skew[:, k, k + 1, None, None]
        skew[:, k + 2 :, k + 2 :] += change - np.swapaxes(change, 1, 2)
    return log


def _skew(
    values: FloatArray, weights: FloatArray, integrals: FloatArray, totals: FloatArray
) -> FloatArray:
    """``∬ sgn(y − x) e_i(x) e_j(y)`` from values and running integrals at the nodes."""
    matrix = 2.0 * integrals.T @ (weights[:, None] * values) - np.outer(totals, totals)
    return 0.5 * (matrix - matrix.T)


def _border(skew: FloatArray, totals: FloatArray) -> FloatArray:
    """Append the integrals as a last row and column when the size is odd."""
    if len(totals) % 2 == 0:
        return skew
    out = np.zeros((len(totals) + 1, len(totals) + 1))
    out[:-1, :-1], out[:-1, -1], out[-1, :-1] = skew, totals, -totals
    return out


def _log_multigamma(a: float, size: int) -> float:
    """Logarithm of the multivariate gamma function."""
    terms = math.fsum(math.lgamma(a - 0.5 * k) for k in range(size))
    return 0.25 * size * (size - 1) * math.log(math.pi) + terms


@lru_cache(maxsize=64)
def wishart(n: int, p: int, dyson_index: int) -> Ensemble:
    """Eigenvalues of XᴴX, X n × p with n ≥ p; y is a singular value."""
    excess = n - p
    if dyson_index == 1:
        constant = (
            0.5 * p * p * math.log(math.pi) - 0.5 * n * p * math.log(2.0)
            - _log_multigamma(0.5 * n, p) - _log_multigamma(0.5 * p, p) + p * math.log(2.0)
        )  # fmt: skip
        power = 2.0 * excess
    else:
        constant = -math.fsum(
            math.lgamma(k + 1.0) + math.lgamma(k + excess + 1.0) - math.log(2.0) for k in range(p)
        )
        power = 2.0 * excess + 1.0
    peak = math.sqrt(0.5 * power)
    constant += (p if dyson_index == 2 else 0.5 * p) * (
        power * math.log(peak) - peak * peak if peak else 0.0
    )

    def log_weight(y: FloatArray) -> FloatArray:
        """``power log(y/peak) − (y² − peak²)``: near the peak the large terms cancel."""
        away = y - peak
        if not power:
            return -y * y
        with np.errstate(divide="ignore"):
            ratio = np.where(y < 0.5 * peak, np.log(y / peak), np.log1p(away / peak))
        return power * ratio - away * (y + peak)

    return Ensemble(
        size=p,
        dyson_index=dyson_index,
        ends=(0.0, math.inf),
        bulk=(math.sqrt(n) - math.sqrt(p), math.sqrt(n) + math.sqrt(p)),
        spread=math.sqrt(p),
        unit=1.0,
        place=np.square,
        log_weight=log_weight,
        log_constant=constant,
        place_beyond=lambda y, step: step * (2.0 * y + step),
        weight_beyond=lambda y, step: power * np.log1p(step / y) - step * (2.0 * y + step),
    )


@lru_cache(maxsize=64)
def double_wishart(p: int, m: int, n: int, dyson_index: int) -> Ensemble:
    """Eigenvalues θ of B(A+B)⁻¹, A of m ≥ p and B of n ≥ p degrees; y = arcsin √θ."""
    first, second = n - p, m - p
    if dyson_index == 1:
        constant = (
            0.5 * p * p * math.log(math.pi) + _log_multigamma(0.5 * (m + n), p)
            - _log_multigamma(0.5 * m, p) - _log_multigamma(0.5 * n, p)
            - _log_multigamma(0.5 * p, p) + p * math.log(2.0)
        )  # fmt: skip
        low_power, high_power = 2.0 * first, 2.0 * second
    else:
        constant = -math.fsum(
            math.lgamma(k + 1.0) + math.lgamma(k + first + 1.0) + math.lgamma(k + second + 1.0)
            + math.lgamma(k + first + second + 1.0) - math.lgamma(2 * k + first + second + 1.0)
            - math.lgamma(2 * k + first + second + 2.0) - math.log(2.0)
            for k in range(p)
        )  # fmt: skip
        low_power, high_power = 2.0 * first + 1.0, 2.0 * second + 1.0
    middle, radius = math.asin(math.sqrt(n / (m + n))), math.asin(math.sqrt(p / (m + n)))

    def log_weight(y: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            low = low_power * np.log(np.sin(y)) if low_power else np.zeros_like(y)
            return low + (high_power * np.log(np.cos(y)) if high_power else 0.0)

    return Ensemble(
        size=p,
        dyson_index=dyson_index,
        ends=(0.0, 0.5 * math.pi),
        bulk=(middle - radius, middle + radius),
        spread=radius,
        # -(log weight)'' is at least 2 (√first + √second)²
        unit=1.0 / max(math.sqrt(first) + math.sqrt(second), 1.0),
        place=lambda y: np.sin(y) ** 2,
        log_weight=log_weight,
        log_constant=constant,
        place_beyond=lambda y, step: np.sin(step) * np.sin(2.0 * y + step),
        weight_beyond=lambda y, step: log_weight(y + step) - log_weight(np.array([y])),
    )
