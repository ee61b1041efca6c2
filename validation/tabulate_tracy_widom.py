"""Regenerate rmtstab/laws/tracy_widom.npz, the piecewise Chebyshev tables of the Tracy–Widom laws.

Hastings–McLeod's solution of Painlevé II, q'' = s q + 2 q³ with q ~ Ai at +inf, is
continued downward from s = 112 by Taylor series at 170 digits (errors grow by 1e54 down
to s = -28), together with u = ∫ q, v = ∫ q² = q'² - s q² - q⁴ and w = ∫∫ q², integrals
from s to infinity. Then (Tracy and Widom 1994, 1996)

    F₂ = exp(-w),  F₁ = exp(-(w+u)/2),  F₄(s/√2) = exp(-w/2) cosh(u/2).

On each panel [k, k+1] the logarithms of F, 1-F and of the density (in s) are interpolated at
Chebyshev nodes, converted to powers of z = 2(s-k)-1 in high precision and rounded once.

    python validation/tabulate_tracy_widom.py            # write the file (about a minute)
    python validation/tabulate_tracy_widom.py --check    # compare with the file instead
"""

import argparse
from pathlib import Path

import flint
import mpmath
import numpy as np

PATH = Path(__file__).parents[1] / "rmtstab" / "laws" / "tracy_widom.npz"
DIGITS, TOP, BOTTOM, STEPS, ORDER, DEGREE = 170, 112, -28, 4, 150, 17
MIDDLE = {1: -1, 2: -2, 4: -3}  # panels below hold log F, above log(1 - F)
LOWEST = {1: -28, 2: -22, 4: -28}
HIGHEST = {1: 108, 2: 69, 4: 69}
arb = flint.arb


def start():
    """Return q, q', u, w at TOP, where q = Ai to 600 digits relative."""
    mpmath.mp.dps = 2 * DIGITS + 360
    s = mpmath.mpf(TOP)
    ai, slope = mpmath.airyai(s), mpmath.airyai(s, derivative=1)
    u = mpmath.mpf(1) / 3 - mpmath.airyai(s, derivative=-1)
    w = (2 * s**2 * ai**2 - 2 * s * slope**2 - ai * slope) / 3
    return [arb(mpmath.nstr(value, DIGITS + 20)) for value in (ai, slope, u, w)]


def taylor(s, q, slope):
    """Return Taylor coefficients of q about s, up to ORDER."""
    a, square = [q, slope], []
    for n in range(ORDER - 1):
        square.append(sum((a[i] * a[n - i] for i in range(n + 1)), arb(0)).mid())
        cube = sum((square[i] * a[n - i] for i in range(n + 1)), arb(0))
        below = a[n - 1] if n else arb(0)
        a.append(((s * a[n] + below + 2 * cube) / ((n + 1) * (n + 2))).mid())
    return a


def horner(coefficients, x):
    """Evaluate a polynomial, lowest power first."""
    value = arb(0)
    for c in reversed(coefficients):
        value = (value * x + c).mid()
    return value


class Step:
    """The solution and its integrals as power series about one point."""

    def __init__(self, s, state):
        self.s = s
        q, slope, self.u, self.w = state
        a = self.a = taylor(s, q, slope)
        self.slope = [n * c for n, c in enumerate(a)][1:]
        self.integral = [c / (n + 1) for n, c in enumerate(a)]
        square = [sum((a[i] * a[n - i] for i in range(n + 1)), arb(0)) for n in range(ORDER)]
        self.twice = [c / ((n + 1) * (n + 2)) for n, c in enumerate(square)]
        self.v = slope**2 - s * q**2 - q**4

    def __call__(self, x):
        """Return q, q', u, w, v at distance x."""
        q, slope = horner(self.a, x), horner(self.slope, x)
        u = self.u - x * horner(self.integral, x)
        w = self.w - x * self.v + x * x * horner(self.twice, x)
        v = slope**2 - (self.s + x) * q**2 - q**4
        return q, slope, u.mid(), w.mid(), v.mid()


def logarithms(q, u, v, w):
    """Return {index: (log F, log(1 - F), log density in s)}."""
    one, two = -(w + u) / 2, -w
    four = (-w / 2).exp() * (u / 2).cosh()
    above = -(-w / 2).expm1() - 2 * (-w / 2).exp() * (u / 4).sinh() ** 2
    swing = (-w / 2).exp() * (v * (u / 2).cosh() - q * (u / 2).sinh()) / 2
    return {
        1: (one, (-one.expm1()).log(), one + ((v + q) / 2).log()),
        2: (two, (-two.expm1()).log(), two + v.log()),
        4: (four.log(), above.log(), swing.log()),
    }


def tabulate():
    """Return {name: array of power coefficients, one row a panel, lowest power first}."""
    flint.ctx.dps = DIGITS
    count = DEGREE + 1
    nodes = [(arb(2 * j + 1) / (2 * count)).cos_pi() for j in range(count)]
    to_chebyshev = [
        [(arb(k * (2 * j + 1)) / (2 * count)).cos_pi() * (1 if k == 0 else 2) / count
         for j in range(count)] for k in range(count)
    ]  # fmt: skip
    powers = [
        [int(c) for c in np.polynomial.chebyshev.cheb2poly([0] * k + [1])] for k in range(count)
    ]

    def fit(values):
        chebyshev = [
            sum((m * y for m, y in zip(row, values, strict=True)), arb(0)) for row in to_chebyshev
        ]
        return [
            float(sum((chebyshev[k] * powers[k][i] for k in range(i, count)), arb(0)).mid())
            for i in range(count)
        ]

    state = start()
    h = arb(1) / STEPS
    rows = {}
    for k in range(TOP - 1, BOTTOM - 1, -1):
        found = {}
        for part in range(STEPS):
            s = arb(k + 1) - part * h
            step = Step(s, state)
            for j, z in enumerate(nodes):
                x = k + (1 + z) / 2 - s
                if -h <= x < 0 and j not in found:
                    q, _, u, w, v = step(x)
                    found[j] = logarithms(q, u, v, w)
            state = step(-h)[:4]
        assert len(found) == count
        for index, middle in MIDDLE.items():
            if not LOWEST[index] <= k < HIGHEST[index]:
                continue
            tail = 0 if k < middle else 1
            rows.setdefault(f"tail{index}", []).append(
                fit([found[j][index][tail] for j in range(count)])
            )
            rows.setdefault(f"density{index}", []).append(
                fit([found[j][index][2] for j in range(count)])
            )
    tables = {name: np.array(values[::-1]) for name, values in rows.items()}
    for index, middle in MIDDLE.items():
        tables[f"range{index}"] = np.array([LOWEST[index], middle, HIGHEST[index]])
    return tables


def main():
    """Write the tables, or check the file against a fresh computation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the file, write nothing")
    arguments = parser.parse_args()
    tables = tabulate()
    if not arguments.check:
        np.savez(PATH, **tables)
        print(f"wrote {PATH.name}: {PATH.stat().st_size} bytes")
        return
    with np.load(PATH) as stored:
        assert set(stored.files) == set(tables)
        for name in stored.files:
            np.testing.assert_array_equal(stored[name], tables[name], err_msg=name)
    print("the stored tables are reproduced bit for bit")


if __name__ == "__main__":
    main()
