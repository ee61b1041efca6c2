r"""Subordination: free convolutions from the Stieltjes transforms of two laws.

A law enters by :math:`\tau(w)`, decreasing between its atoms and intervals:
:math:`\tau = G(w) = -m(w)` for sums and :math:`\tau = wG(w)` for products. The
convolution at `z` has :math:`\tau(z) = \tau_1(\omega_1) = \tau_2(\omega_2)` where

.. math:: \omega_1 + \omega_2 = z + 1/\tau \quad\text{(sum)}, \qquad
    \omega_1\omega_2 = z\,\tau/(\tau - 1) \quad\text{(product)},

both in the upper half-plane, one solution for each `z` there. On the real line a
hole of the support is where both are real, off both supports, and `z` increases with
:math:`\omega_1`; edges are the extrema. Derived in docs/laws/free_convolution.

P. Biane, Math. Z. 227 (1998), 143, Theorems 3.1 and 3.6; S. Belinschi and H. Bercovici,
J. Anal. Math. 101 (2007), 357, Theorem 4.1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rmtstab.laws.base import ComplexArray, FloatArray, SpectralLaw

GRID = 400  # points of the first scan of a gap


@dataclass(frozen=True)
class Operand:
    """A law of the pair, multiplied by a number."""

    law: SpectralLaw
    weight: float
    product: bool

    def tau(self, w: ComplexArray) -> ComplexArray:
        """Evaluate tau above the axis (and on it, from above)."""
        g = -np.asarray(self.law.stieltjes(w / self.weight)) / self.weight
        return np.asarray(w * g if self.product else g, dtype=np.complex128)

    def real_tau(self, w: FloatArray) -> FloatArray:
        """Evaluate tau at real points off the support."""
        with np.errstate(divide="ignore", invalid="ignore"):
            g = -np.asarray(self.law.stieltjes(w / self.weight)) / self.weight
        return w * g if self.product else g

    def at_zero(self) -> tuple[float, int, bool]:
        """Mass at 0, power p of ``omega ~ (tau - mass)**p`` there, and whether an edge is there.

        The power is 1 in a gap and at a soft edge, 2 at a hard one, 3 at that of a product of two
        such laws, and so on.
        """
        mass = math.fsum(mass for at, mass in self.atoms() if at == 0.0)
        if self.law.edges().min() != 0.0:
            return mass, 1, False
        near, far = self.real_tau(np.array([-1e-10, -4e-10]) * self.law.std()) - mass
        return mass, round(math.log(4.0) / math.log(far / near)), True

    def limit(self, end: float, side: int) -> tuple[float, bool]:
        """Return tau's limit at an end of a gap from within, and whether a soft edge is there."""
        if math.isinf(end):
            return (1.0 if self.product else 0.0), False
        if self.product and end == 0.0:
            return math.fsum(mass for at, mass in self.atoms() if at == 0.0), False
        tau = float(self.real_tau(np.array([end]))[0])
        g = tau / end if self.product else tau
        soft = abs(g * self.weight) * self.law.std() < 1e4
        return (tau if soft else -math.inf if side else math.inf), soft

    @property
    def mean(self) -> float:
        """Mean of the multiplied law."""
        return self.weight * self.law.mean()

    def atoms(self) -> list[tuple[float, float]]:
        """Atoms of the multiplied law."""
        return [(self.weight * at, mass) for at, mass in self.law.atoms()]

    def gaps(self) -> list[tuple[float, float]]:
        """Open intervals without mass, between atoms and edges; the outer ones are infinite."""
        pieces = [tuple(sorted(self.weight * e for e in pair)) for pair in self.law.edges()]
        pieces += [(at, at) for at, _ in self.atoms()]
        pieces.sort()
        ends = [-math.inf, *(v for piece in pieces for v in piece), math.inf]
        pairs = zip(ends[::2], ends[1::2], strict=True)
        return [
            (a, b) for a, b in pairs if a < b and not (self.product and b <= 0.0 < -a < math.inf)
        ]


@dataclass(frozen=True)
class Pair:
    """Two operands and the operation."""

    first: Operand
    second: Operand
    product: bool

    def partner(self, z: ComplexArray, omega: ComplexArray, phi: ComplexArray) -> ComplexArray:
        """Return the other subordination function, given phi."""
        return z * (1.0 + phi) / omega if self.product else z + phi - omega

    def combine(self, first: FloatArray, second: FloatArray, tau: FloatArray) -> FloatArray:
        """Return z from both subordination functions."""
        if self.product:
            return first * second * (tau - 1.0) / tau
        return first + second - 1.0 / tau

    def solve(self, z: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
        """Return omega_1 and tau at points on and above the axis, continued from far above."""
        size = max(
            abs(v) * (abs(other.mean) if self.product else 1.0)
            for one, other in ((self.first, self.second), (self.second, self.first))
            for v in [*np.abs(one.weight * one.law.edges()).ravel().tolist(), one.mean]
        )
        level = np.maximum(8.0 * np.maximum(size, np.abs(z.real)), z.imag)
        goal = z.real + 1j * level
        omega = goal / self.second.mean if self.product else goal - self.second.mean
        omega = self._newton(goal, omega)
        while (level > z.imag).any():
            level = np.maximum(0.5 * level, z.imag)
            level = np.where(level < 1e-13 * size, z.imag, level)
            omega = self._newton(z.real + 1j * level, omega)
        return omega, self.first.tau(omega)

    def _phi(self, operand: Operand, omega: ComplexArray) -> ComplexArray:
        """Return 1/tau, or 1/(tau - 1): nearly linear far above the axis."""
        return 1.0 / (operand.tau(omega) - (1.0 if self.product else 0.0))

    def _newton(self, z: ComplexArray, omega: ComplexArray) -> ComplexArray:
        """Solve phi_2(omega_2) = phi_1(omega_1)."""
        phi = self._phi(self.first, omega)
        for _ in range(30):
            other = self.partner(z, omega, phi)
            # derivatives by a small step: they only set the pace
            h, k = 1e-7 * np.abs(omega), 1e-7 * np.abs(other)
            slope = (self._phi(self.first, omega + h) - phi) / h
            beyond = self._phi(self.second, other)
            rate = (self._phi(self.second, other + k) - beyond) / k
            turn = (z * slope - other) / omega if self.product else slope - 1.0
            move = (beyond - phi) / (rate * turn - slope)
            move = np.where(np.isfinite(move), move, 0.0)
            # stay above the axis, both of them
            part = np.ones(z.shape)
            for _ in range(40):
                new = omega - part * move
                phi = self._phi(self.first, new)
                low = (new.imag < 0.0) | (self.partner(z, new, phi).imag < 0.0)
                low &= z.imag + omega.imag > 1e-12 * np.abs(omega)
                if not low.any():
                    break
                part = np.where(low, 0.5 * part, part)
            omega = new
            if (np.abs(move) <= 1e-13 * np.abs(omega)).all():
                break
        return omega

    def edges(self) -> FloatArray:
        """Find all edges of the continuous part: extrema of z along the holes."""
        lefts: list[float] = []
        rights: list[float] = []
        for one in self.first.gaps():
            for other in self.second.gaps():
                for low, high in _same_sign(one) if self.product else [one]:
                    for kind, z in self._extrema(low, high, other):
                        (lefts if kind == "max" else rights).append(z)
        if self.at_zero()[1]:  # the curve ends there, and does not turn
            lefts.append(0.0)
        lefts, rights = sorted(lefts), sorted(rights)
        if not lefts or len(lefts) != len(rights):
            raise ValueError(self.unresolved())
        return np.array(list(zip(lefts, rights, strict=True)))

    def at_zero(self) -> tuple[int, bool]:
        """Power p of ``z ~ (tau - mass)**p`` at 0, and whether an edge is there.

        Above 1 the density rises as ``x**(1/p - 1)``.
        """
        if not self.product:
            return 1, False
        (mass, p, edge), (other, q, too) = self.first.at_zero(), self.second.at_zero()
        if mass != other:
            return (p, edge) if mass > other else (q, too)
        if edge and too and min(p, q) == 1 < max(p, q):
            raise ValueError(
                "first and second must not both have an edge at 0, one hard and one soft"
            )
        power = p + q - (1 if mass == 0.0 else 0)
        return power, power > 1 or edge or too

    def unresolved(self) -> str:
        """Say that edges lie nearer to those of one law than its numbers are apart."""
        one, two = (abs(o.weight) * o.law.std() for o in (self.first, self.second))
        if self.product:  # what counts are relative spreads
            one, two = one / abs(self.first.mean), two / abs(self.second.mean)
        kind = "relative standard deviations" if self.product else "standard deviations"
        return (
            f"first and second must have {kind} less far apart, or the narrower law hardly moves "
            f"the wider one's edges, got {one:g} and {two:g}"
        )

    def _curve(self, omega: FloatArray, gap: tuple[float, float]) -> FloatArray:
        """Return z along real omega_1, omega_2 in a gap of the second law; NaN where none."""
        tau = self.first.real_tau(omega)
        other = _invert(self.second, tau, gap)
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.combine(omega, other, tau)

    def _soft_end(
        self, gap: tuple[float, float], other: tuple[float, float], side: int
    ) -> float | None:
        """Return the extremum of z next to a soft edge at which a pair of gaps ends.

        At a distance s from it tau is ``limit -+ c sqrt(s)``, and z turns by
        ``(dz/dtau c)**2/(4 dz/domega)``, less than rounding where the search did not see it.
        """
        sign = -1.0 if side else 1.0
        ends = [(self.first, self.second, gap, other), (self.second, self.first, other, gap)]
        limits = [one.limit(own[side], side) for one, _, own, _ in ends]
        which = int(sign * limits[1][0] < sign * limits[0][0])  # the end that is met first
        tau, soft = limits[which]
        if not soft:
            return None
        one, two, own, opposite = ends[which]
        edge, inner = own[side], np.array([tau, tau * (1.0 + 1e-2), tau * (1.0 - 1e-2)])
        z = self.combine(np.full(3, edge), _invert(two, inner, opposite), inner)
        step = 1e-6 * min(abs(one.weight) * one.law.std(), own[1] - own[0])
        c = abs(tau - one.real_tau(np.array([edge + sign * step]))[0]) / math.sqrt(step)
        slope = (z[1] - z[2]) / (inner[1] - inner[2])
        depth = (slope * c) ** 2 / (4.0 * (z[0] / edge if self.product else 1.0))
        return float(z[0] - sign * depth) if math.isfinite(depth) else None

    def _extrema(
        self, low: float, high: float, gap: tuple[float, float]
    ) -> Iterator[tuple[str, float]]:
        """Yield local maxima and minima of z over omega_1 between low and high."""
        # graded at the ends of both gaps
        grid = _graded(low, high, GRID, self.product)
        mirror = self.second.real_tau(_graded(*gap, GRID, self.product))
        image = _invert(self.first, mirror[np.isfinite(mirror)], (low, high))
        grid = np.unique(np.concatenate([grid, image[np.isfinite(image)]]))
        z = self._curve(grid, gap)
        grid, z = grid[np.isfinite(z)], z[np.isfinite(z)]
        if z.size < 3:
            return
        noise = 1e-11 if self.product else 1e-13  # tau - 1 cancels at large omega
        kept = [0]  # a point counts when z has moved beyond rounding
        for k in range(1, z.size):
            if abs(z[k] - z[kept[-1]]) > noise * (abs(z[k]) + abs(grid[k])):
                kept.append(k)
        grid, z = grid[kept], z[kept]
        rise = np.sign(np.diff(z))
        for k in range(1, grid.size - 1):
            if rise[k - 1] == rise[k]:
                continue
            sign = rise[k - 1]
            left, right = grid[k - 1], grid[k + 1]
            best = z[k]
            for _ in range(12):  # ten times closer each time; z is flat there
                fine = np.linspace(left, right, 21)
                values = self._curve(fine, gap)
                top = int(np.nanargmax(sign * values))
                best = sign * max(sign * best, sign * values[top])
                left, right = fine[max(top - 1, 0)], fine[min(top + 1, 20)]
                if right - left <= 1e-9 * abs(right):
                    break
            yield ("max" if sign > 0 else "min"), float(best)
        # next to a soft edge z always falls; where by less than rounding, it turns at the edge
        for kind, side, rising in (("min", 0, rise[0] > 0.0), ("max", 1, rise[-1] > 0.0)):
            if rising and (end := self._soft_end((low, high), gap, side)) is not None:
                yield kind, end


def _same_sign(gap: tuple[float, float]) -> list[tuple[float, float]]:
    """Split a gap at zero, where products change branch."""
    low, high = gap
    return [(low, 0.0), (0.0, high)] if low < 0.0 < high else [gap]


def _graded(low: float, high: float, count: int, near: bool = False) -> FloatArray:
    """Points of an open interval, crowding geometrically at finite ends.

    An infinite interval ends at 7e7 times its finite end, or at 1e4 times if ``near``.
    """
    t = np.linspace(-36.0, 36.0, count + 2)[1:-1]
    if math.isinf(low) and math.isinf(high):
        return np.sinh(t)
    if math.isinf(low) or math.isinf(high):
        end, sign = (high, -1.0) if math.isinf(low) else (low, 1.0)
        unit = abs(end) if end else 1.0
        far = 9.2 if near else 18.0
        return np.sort(end + sign * unit * np.exp(np.linspace(-32.0, far, count)))
    part = 1.0 / (1.0 + np.exp(-t))
    points = np.where(part < 0.5, low + (high - low) * part,
                      high - (high - low) / (1.0 + np.exp(t)))  # fmt: skip
    return np.asarray(points[(points > low) & (points < high)])


def _invert(operand: Operand, tau: FloatArray, gap: tuple[float, float]) -> FloatArray:
    """Return where a gap of an operand has the given tau (decreasing there); NaN where nowhere."""
    low, high = gap
    grid = _graded(low, high, 200)
    values = operand.real_tau(grid)
    good = np.isfinite(values)
    grid, values = grid[good], values[good]
    inside = (tau < values[0]) & (tau > values[-1])
    place = np.clip(np.searchsorted(-values, -tau), 1, grid.size - 1)
    left, right = grid[place - 1].copy(), grid[place].copy()
    at_left, at_right = values[place - 1], values[place]
    at_left, at_right = at_left - tau, at_right - tau
    side = np.zeros(tau.shape, dtype=int)
    guess = 0.5 * (left + right)
    for step in range(80):
        # Illinois rule, a bisection now and then
        with np.errstate(divide="ignore", invalid="ignore"):
            guess = (left * at_right - right * at_left) / (at_right - at_left)
        middle = 0.5 * (left + right)
        guess = np.where((guess > left) & (guess < right) & (step % 4 < 3), guess, middle)
        value = operand.real_tau(guess) - tau
        up = value > 0.0
        at_right = np.where(up & (side == 1), 0.5 * at_right, at_right)
        at_left = np.where(~up & (side == -1), 0.5 * at_left, at_left)
        left, at_left = np.where(up, guess, left), np.where(up, value, at_left)
        right, at_right = np.where(up, right, guess), np.where(up, at_right, value)
        side = np.where(up, 1, -1)
        if (np.abs(right - left) <= 4e-16 * np.abs(guess)).all() or (value[inside] == 0).all():
            break
    return np.where(inside, guess, np.nan)
