r"""Compound free Poisson laws: what generalised Marchenko–Pastur and descent–ascent share.

With rates :math:`\kappa_j > 0` and jumps :math:`p_j \ne 0` the law has R-transform
:math:`\sum_j \kappa_j p_j / (1 - p_j g)`; its Stieltjes transform is :math:`-1/u` with

.. math:: \psi(u) = u + \sum_j \kappa_j \frac{p_j u}{u - p_j} = z, \qquad \Im u > 0.

The support is where :math:`\varphi(u) = \sum_j \kappa_j p_j^2/(u - p_j)^2 > 1` on
the real axis: beyond the outermost jumps and, by convexity of :math:`\varphi`, in each
gap between two jumps there is at most one hole, whose ends are the two zeros of
:math:`\varphi - 1`. Edges are the images of these zeros, found in 60 digits. Inside,
:math:`u = \alpha + i\beta(\alpha)` with :math:`x` increasing in :math:`\alpha`,
so that each point has one solution, bracketed. Derived in
docs/laws/generalized_marchenko_pastur.
"""

from __future__ import annotations

import abc
import math
from bisect import bisect
from collections.abc import Sequence
from decimal import Decimal, getcontext
from functools import cached_property

import numpy as np

from rmtstab.kernels import laws_free_poisson as kernel
from rmtstab.laws._decimals import digits, split
from rmtstab.laws.base import ComplexArray, FloatArray, SpectralLaw

DIGITS = 60
_NODE, _GAUSS = np.polynomial.legendre.leggauss(24)
_NODE, _GAUSS = 0.5 * (1.0 + _NODE), 0.5 * _GAUSS


class FreePoissonLaw(SpectralLaw):
    """A law ``weight * compound free Poisson + atom``, shifted; subclasses give the data."""

    def _digits(self) -> int:
        """Digits in which edges are sought; more where the parameters span many decades."""
        return DIGITS

    @abc.abstractmethod
    def _jumps(self) -> tuple[Sequence[Decimal], Sequence[Decimal]]:
        """Rates and jumps, exactly; called in a 60-digit context."""

    @abc.abstractmethod
    def _frame(self) -> tuple[Decimal, Decimal, Decimal]:
        """Weight of the continuous part, mass of the atom, shift of the whole law."""

    @cached_property
    def _curve(self) -> kernel.Curve:
        with digits(self._digits()):
            rates, jumps = self._jumps()
            weight, atom, shift = self._frame()
            return _build(rates, jumps, weight, atom, shift)

    def _edges(self) -> FloatArray:
        return self._curve.edge.reshape(-1, 2).copy()

    def _atoms(self) -> tuple[tuple[float, float], ...]:
        curve = self._curve
        return ((curve.atom_at, curve.atom),) if curve.atom > 0.0 else ()

    def masses(self) -> FloatArray:
        """Mass of each interval of `edges`, exactly (sums of rates: exact separation).

        Returns
        -------
        ndarray, shape (n_intervals,), float64
        """
        return self._curve.mass.copy()

    def _moment(self, order: int) -> float:
        r"""Moments from free cumulants :math:`c_s = \sum_j\kappa_jp_j^s` by Lagrange inversion.

        .. math:: m_n = \frac1{n+1}[z^n]\,(1 + c_1z + c_2z^2 + \dots)^{n+1}
        """
        if order == 0:
            return 1.0
        with digits(self._digits() + order // 3):
            c, weight = self._cumulants(order)
            power, size = [Decimal(1)], order + 2
            for m in range(1, order + 1):  # J. C. P. Miller's recurrence for powers of series
                terms = ((i * size - m) * c[i - 1] * power[m - i] for i in range(1, m + 1))
                power.append(sum(terms, Decimal(0)) / m)
            return float(weight * power[-1] / (order + 1))

    def _var(self) -> float:
        with digits(self._digits()):
            (mean, second), weight = self._cumulants(2)
            return float(weight * (second + (1 - weight) * mean * mean))

    def _cumulants(self, order: int) -> tuple[list[Decimal], Decimal]:
        """Free cumulants of the unweighted law, shift included, and the weight."""
        rates, jumps = self._jumps()
        weight, _, shift = self._frame()
        c = [
            sum((r * p**s for r, p in zip(rates, jumps, strict=True)), Decimal(0))
            for s in range(1, order + 1)
        ]
        c[0] += shift  # only laws of weight 1 have one
        return c, weight

    def _pdf(self, x: FloatArray) -> FloatArray:
        out = np.empty(x.size)
        curve = self._curve
        kernel.density(x, curve, out)
        for e in np.flatnonzero(curve.root == 0.0):  # hard edge: density ~ |x - edge|^(-1/2)
            out[(x == curve.edge[e]) & (curve.edge_low[e] == 0.0)] = math.inf
        return out

    def _cdf(self, x: FloatArray) -> FloatArray:
        out = np.empty(x.size)
        kernel.cumulative(x, self._curve, _NODE, _GAUSS, False, out)
        return out

    def _sf(self, x: FloatArray) -> FloatArray:
        out = np.empty(x.size)
        kernel.cumulative(x, self._curve, _NODE, _GAUSS, True, out)
        return out

    def _ppf(self, q: FloatArray) -> FloatArray:
        out = np.empty(q.size)
        kernel.quantile(q, self._curve, _NODE, _GAUSS, False, out)
        return out

    def _isf(self, q: FloatArray) -> FloatArray:
        out = np.empty(q.size)
        kernel.quantile(q, self._curve, _NODE, _GAUSS, True, out)
        return out

    def _stieltjes(self, z: ComplexArray) -> ComplexArray:
        out = np.empty(z.size, dtype=np.complex128)
        kernel.stieltjes(z, self._curve, self._weight_at_zero(), out)
        return out

    def _weight_at_zero(self) -> float:
        """Return the population's weight at zero."""
        return 0.0


def _taylor(
    u: Decimal, residues: Sequence[Decimal], jumps: Sequence[Decimal]
) -> tuple[Decimal, Decimal, Decimal]:
    """Return phi - 1, its slope and its second derivative."""
    value, slope, bend = Decimal(-1), Decimal(0), Decimal(0)
    for c, p in zip(residues, jumps, strict=True):
        inverse = 1 / (u - p)
        term = c * inverse * inverse
        value += term
        term *= inverse
        slope -= 2 * term
        bend += 6 * term * inverse
    return value, slope, bend


def _descend(u: Decimal, residues: Sequence[Decimal], jumps: Sequence[Decimal]) -> Decimal:
    """Polish a zero of phi - 1: monotone from where it is positive, by convexity.

    Half of the digits are enough: the edge psi(u) is stationary in u.
    """
    for _ in range(400):
        value, slope, _ = _taylor(u, residues, jumps)
        step = value / slope
        u -= step
        if abs(step) <= abs(u) * Decimal(10) ** (-getcontext().prec // 2) or step == 0:
            break
    return u


def _roots(residues: Sequence[Decimal], jumps: Sequence[Decimal]) -> list[Decimal]:
    """Zeros of phi in increasing order, from the two sides of every hole.

    Doubles find them as distances from the nearest jump, where nothing cancels; a few
    steps in all digits polish them.
    """
    c, p = np.array(residues, dtype=float), np.array(jumps, dtype=float)
    span = p[-1] - p[0]
    reach = math.sqrt(c.sum()) - span  # phi > 0 within this distance of the outer jumps
    starts = [(0, -float(max((np.sqrt(c) - (p - p[0])).max(), reach)))]
    for j in _possible_holes(c, p):
        anchor, place = _minimum(c, p, j)
        least = float(np.sum(c / (place + (p[anchor] - p)) ** 2)) - 1.0
        if abs(least) < 1e-8:
            least = float(_least(jumps[anchor] + Decimal(place), j, residues, jumps))
        if least < 0.0:
            gap = p[j + 1] - p[j]
            from_left = place if anchor == j else gap + place
            from_right = gap - place if anchor == j else -place
            starts.append((j, min(math.sqrt(c[j]), from_left)))
            starts.append((j + 1, -min(math.sqrt(c[j + 1]), from_right)))
    starts.append((p.size - 1, float(max((np.sqrt(c) - (p[-1] - p)).max(), reach))))
    found = []
    for anchor, place in starts:
        place = _newton(c, p[anchor] - p, place)
        found.append(_descend(jumps[anchor] + Decimal(place), residues, jumps))
    return found


def _possible_holes(c: FloatArray, p: FloatArray) -> list[int]:
    """Indices of the gaps between jumps where the two next to it leave phi < 0 somewhere."""
    least = (np.cbrt(c[:-1]) + np.cbrt(c[1:])) ** 3 / np.diff(p) ** 2
    return np.flatnonzero(least < 1.0 + 1e-9).tolist()


def _minimum(c: FloatArray, p: FloatArray, j: int) -> tuple[int, float]:
    """Return where phi is least between jumps j and j + 1: a jump and the distance from it."""
    gap, left, right = p[j + 1] - p[j], np.cbrt(c[j]), np.cbrt(c[j + 1])
    anchor = j if left <= right else j + 1
    place = gap * left / (left + right) if left <= right else -gap * right / (left + right)
    low, high = (0.0, gap) if anchor == j else (-gap, 0.0)
    away = p[anchor] - p
    for _ in range(200):
        inverse = 1.0 / (place + away)
        slope = np.sum(c * inverse**3)
        low, high = (place, high) if slope > 0.0 else (low, place)
        new = place + slope / (3.0 * np.sum(c * inverse**4))
        if not low < new < high:
            new = 0.5 * (low + high)
        if abs(new - place) <= 1e-14 * abs(place):
            break
        place = new
    return anchor, float(place)


def _least(u: Decimal, j: int, residues: Sequence[Decimal], jumps: Sequence[Decimal]) -> Decimal:
    """Return the least phi between jumps j and j + 1, from a point next to it."""
    for _ in range(6):
        _, slope, bend = _taylor(u, residues, jumps)
        if not jumps[j] < u - slope / bend < jumps[j + 1]:
            break
        u -= slope / bend
    return _taylor(u, residues, jumps)[0]


def _newton(c: FloatArray, away: FloatArray, place: float) -> float:
    """Follow Newton's method for phi = 0 from phi >= 0, in distances from one jump."""
    for _ in range(400):
        inverse = 1.0 / (place + away)
        value = np.sum(c * inverse**2) - 1.0
        step = value / (2.0 * np.sum(c * inverse**3))
        place += float(step)
        if abs(step) <= 1e-15 * abs(place):
            break
    return place


def _build(
    rates: Sequence[Decimal],
    jumps: Sequence[Decimal],
    weight: Decimal,
    atom: Decimal,
    shift: Decimal,
) -> kernel.Curve:
    """Find the edges in 60 digits, then trace each interval for starting points."""
    order = sorted(range(len(jumps)), key=lambda j: jumps[j])
    rates, jumps = [rates[j] for j in order], [jumps[j] for j in order]
    residues = [r * p * p for r, p in zip(rates, jumps, strict=True)]
    roots = _roots(residues, jumps)
    excess = 1 - sum(rates, Decimal(0))
    edges, d = [], []
    for u in roots:
        gaps = [u - p for p in jumps]
        terms = (r * p / (g * g) for r, p, g in zip(rates, jumps, gaps, strict=True))
        x = u * u * sum(terms, Decimal(0))  # psi at a zero of psi': nothing cancels here
        high, low = split(x + shift)  # when the jumps have one sign
        edges.append((high, low))
        d.append([float(g) for g in gaps])
    masses = []
    for left, right in zip(roots[::2], roots[1::2], strict=True):
        inside = rates[bisect(jumps, left) : bisect(jumps, right)]
        masses.append(weight * (sum(inside, Decimal(0)) + (excess if left < 0 < right else 0)))
    below = [Decimal(0)]
    for mass in masses:
        below.append(below[-1] + mass)
    root = np.array([float(u) for u in roots])
    pole, residue = np.array(jumps, dtype=float), np.array(residues, dtype=float)
    flat = np.array(edges)
    start, nodes, count = [0], [], max(16, 256 // (3 + len(masses)))
    for k in range(len(masses)):
        pair = slice(2 * k, 2 * k + 2)
        nodes.append(_trace(root[pair], flat[pair, 0], residue, pole, float(shift), count))
        start.append(start[-1] + len(nodes[-1]))
    table = np.ascontiguousarray(np.concatenate(nodes).T)
    curve = kernel.Curve(
        edge=np.ascontiguousarray(flat[:, 0]),
        edge_low=np.ascontiguousarray(flat[:, 1]),
        root=root,
        c=residue / np.square(d),
        d=np.array(d),
        pole=pole,
        rate=np.array(rates, dtype=float),
        mass=np.array(masses, dtype=float),
        below=np.array(below, dtype=float),
        start=np.array(start, dtype=np.int64),
        node_x=table[0],
        node_re=table[1],
        node_im=table[2],
        node_mass=np.zeros(table.shape[1]),
        weight=float(weight),
        atom=float(atom),
        atom_at=float(shift),
        excess=float(excess),
    )
    kernel.node_masses(curve, _NODE, _GAUSS, curve.node_mass)
    for array in curve:
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    return curve


def _trace(
    roots: FloatArray,
    edges: FloatArray,
    residue: FloatArray,
    pole: FloatArray,
    shift: float,
    count: int,
) -> FloatArray:
    """Rows (x, Re u, Im u) along one interval, denser at its edges and at its jumps."""
    left, right = roots
    angle = np.linspace(0.0, np.pi, count + 2)[1:-1]
    alpha = [0.5 * (left + right) - 0.5 * (right - left) * np.cos(angle)]
    inside = np.flatnonzero((pole > left) & (pole < right))
    inside = inside[:: 1 + inside.size // count]  # many jumps blur each other
    for p, c in zip(pole[inside], residue[inside], strict=True):
        reach = math.sqrt(c) * np.array([0.2, 0.6, 1.0, 1.5, 3.0])
        alpha += [p - reach, np.array([p]), p + reach]
    grid = np.unique(np.concatenate(alpha))
    grid = grid[(grid > left) & (grid < right)]
    out = np.empty((grid.size, 2))
    kernel.trace(grid, residue, pole, out)
    rows = np.column_stack([out[:, 1] + shift, grid, out[:, 0]])
    rows = rows[(rows[:, 2] > 0.0) & (rows[:, 0] > edges[0]) & (rows[:, 0] < edges[1])]
    rows = rows[np.argsort(rows[:, 1], kind="stable")]
    keep = np.concatenate([[True], np.diff(np.maximum.accumulate(rows[:, 0])) > 0.0])
    ends = np.array([[edges[0], left, 0.0], [edges[1], right, 0.0]])
    return np.concatenate([ends[:1], rows[keep[: len(rows)]], ends[1:]])
