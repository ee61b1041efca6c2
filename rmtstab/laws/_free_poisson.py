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

import math
from collections.abc import Sequence
from decimal import Decimal, getcontext
from functools import cached_property

import numpy as np

from rmtstab.kernels import laws_free_poisson as kernel
from rmtstab.laws._decimals import digits
from rmtstab.laws.base import ComplexArray, FloatArray, SpectralLaw

DIGITS = 60
_NODE, _GAUSS = np.polynomial.legendre.leggauss(24)
_NODE, _GAUSS = 0.5 * (1.0 + _NODE), 0.5 * _GAUSS


class FreePoissonLaw(SpectralLaw):
    """A law ``weight * compound free Poisson + atom``, shifted; subclasses give the data."""

    def _digits(self) -> int:
        """Digits in which edges are sought; more where the parameters span many decades."""
        return DIGITS

    def _jumps(self) -> tuple[Sequence[Decimal], Sequence[Decimal]]:
        """Rates and jumps, exactly; called in a 60-digit context."""
        raise NotImplementedError

    def _frame(self) -> tuple[Decimal, Decimal, Decimal]:
        """Weight of the continuous part, mass of the atom, shift of the whole law."""
        raise NotImplementedError

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


def _phi(u: Decimal, residues: Sequence[Decimal], jumps: Sequence[Decimal]) -> Decimal:
    return sum((c / (u - p) ** 2 for c, p in zip(residues, jumps, strict=True)), Decimal(-1))


def _slope(u: Decimal, residues: Sequence[Decimal], jumps: Sequence[Decimal]) -> Decimal:
    terms = (-2 * c / (u - p) ** 3 for c, p in zip(residues, jumps, strict=True))
    return sum(terms, Decimal(0))


def _bend(u: Decimal, residues: Sequence[Decimal], jumps: Sequence[Decimal]) -> Decimal:
    terms = (6 * c / (u - p) ** 4 for c, p in zip(residues, jumps, strict=True))
    return sum(terms, Decimal(0))


def _descend(u: Decimal, residues: Sequence[Decimal], jumps: Sequence[Decimal]) -> Decimal:
    """Follow Newton's method for phi = 0 from a point where phi >= 0: monotone, by convexity."""
    for _ in range(400):
        step = _phi(u, residues, jumps) / _slope(u, residues, jumps)
        u -= step
        if abs(step) <= abs(u) * Decimal(10) ** (8 - getcontext().prec) or step == 0:
            break
    return u


def _roots(residues: Sequence[Decimal], jumps: Sequence[Decimal]) -> list[Decimal]:
    """Zeros of phi in increasing order, from the two sides of every hole."""
    c, p = np.array(residues, dtype=float), np.array(jumps, dtype=float)
    found = [_descend(jumps[0] - residues[0].sqrt(), residues, jumps)]
    for j in range(len(jumps) - 1):
        low, high = jumps[j], jumps[j + 1]
        # the minimum of phi between two jumps: bisection in double precision, then Newton
        left, right = 0.0, 1.0
        span, lower, upper = float(high - low), p - p[j], p[j + 1] - p
        for _ in range(60):
            part = 0.5 * (left + right)
            gap = np.where(p <= p[j], part * span - lower, (part - 1.0) * span + upper)
            with np.errstate(over="ignore", invalid="ignore"):
                slope = np.sum(c / gap**3)
            if slope > 0.0:
                left = part
            else:
                right = part
        u = low + (high - low) * Decimal(0.5 * (left + right))
        for _ in range(6):
            move = _slope(u, residues, jumps) / _bend(u, residues, jumps)
            if not low < u - move < high:
                break
            u -= move
        if _phi(u, residues, jumps) >= 0:
            continue
        found.append(_descend(low + min(residues[j].sqrt(), u - low), residues, jumps))
        found.append(_descend(high - min(residues[j + 1].sqrt(), high - u), residues, jumps))
    found.append(_descend(jumps[-1] + residues[-1].sqrt(), residues, jumps))
    return found


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
    edges, c, d = [], [], []
    for u in roots:
        gaps = [u - p for p in jumps]
        x = (
            u
            * u
            * sum((r * p / g**2 for r, p, g in zip(rates, jumps, gaps, strict=True)), Decimal(0))
        )  # psi at a zero of psi', without cancellation when the jumps have one sign
        high = float(x + shift)
        edges.append((high, float(x + shift - Decimal(high))))
        d.append([float(g) for g in gaps])
        c.append([float(r / g**2) for r, g in zip(residues, gaps, strict=True)])
    masses = []
    for left, right in zip(roots[::2], roots[1::2], strict=True):
        inside = [r for r, p in zip(rates, jumps, strict=True) if left < p < right]
        masses.append(weight * (sum(inside, Decimal(0)) + (excess if left < 0 < right else 0)))
    below = [Decimal(0)]
    for mass in masses:
        below.append(below[-1] + mass)
    root = np.array([float(u) for u in roots])
    pole, residue = np.array(jumps, dtype=float), np.array(residues, dtype=float)
    flat = np.array(edges)
    start, nodes = [0], []
    for k in range(len(masses)):
        nodes.append(_trace(root[2 * k : 2 * k + 2], flat[2 * k : 2 * k + 2, 0], residue, pole,
                            float(shift)))  # fmt: skip
        start.append(start[-1] + len(nodes[-1]))
    table = np.ascontiguousarray(np.concatenate(nodes).T)
    curve = kernel.Curve(
        edge=np.ascontiguousarray(flat[:, 0]),
        edge_low=np.ascontiguousarray(flat[:, 1]),
        root=root,
        c=np.array(c),
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
    roots: FloatArray, edges: FloatArray, residue: FloatArray, pole: FloatArray, shift: float
) -> FloatArray:
    """Rows (x, Re u, Im u) along one interval, denser at its edges and at its jumps."""
    left, right = roots
    angle = np.linspace(0.0, np.pi, 66)[1:-1]
    alpha = [0.5 * (left + right) - 0.5 * (right - left) * np.cos(angle)]
    for p, c in zip(pole, residue, strict=True):
        if left < p < right:
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
