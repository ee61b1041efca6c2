"""Measure the accuracy of the laws: worst relative errors against 30 digits or more.

Each number is the largest relative error over the points listed, input doubles taken
exactly. Independent routes: textbook formulas at 80 digits (Marchenko–Pastur), quadrature
at 30 (two poles), all roots of the defining polynomial at 40 (compound free Poisson),
Painlevé II at 170 between the nodes of the tables (Tracy–Widom; needs python-flint); laws
with another name (free convolutions); the other solver (Tracy–Widom of any index, absolute);
determinants at 80 digits (spacings, absolute; needs python-flint).

    python validation/accuracy_laws.py            # into validation/results (minutes)
    python validation/accuracy_laws.py --only marchenko_pastur
    python validation/write_pages.py              # docs/accuracy.md and the tables of docs/laws
"""

import argparse
import datetime
import importlib.util
import json
import math
import sys
from pathlib import Path

import mpmath as mp
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from rmtstab import laws  # noqa: E402
from rmtstab.sweeps import versions  # noqa: E402
from tests import naive  # noqa: E402

PARTS = [1e-12, 1e-9, 1e-6, 1e-3, 0.03, 0.2, 0.5, 0.8, 0.97, 1 - 1e-4, 1 - 1e-7, 1 - 1e-10]
RESULTS = ROOT / "validation" / "results" / "accuracy.json"


def error(value, exact):
    """Return |value/exact - 1|, 0 when both vanish."""
    return 0.0 if value == exact else abs(value / exact - 1.0)


def points(left, right, rng):
    """Return doubles inside, graded towards both edges, and random ones."""
    parts = np.concatenate([PARTS, rng.random(12)])
    x = left + parts * (right - left)
    return x[(x > left) & (x < right)]


def inverse_error(law, x, cdf, sf):
    """Return the relative errors in x of ppf and isf at the exact probabilities, rounded.

    Rounding the probability moves the quantile by half a unit of it over the density: that
    much is allowed, and points where it reaches a hundredth of the way to an edge are left out.
    """
    found = []
    distance = min(1.0, *(abs(x - edge) for edge in law.edges().ravel()))
    for quantile, q in ((law.ppf, cdf), (law.isf, sf)):
        slack = 1.2e-16 * q / law.pdf(x) if law.pdf(x) > 0 else math.inf
        if slack > 0.01 * distance or q == 1.0:
            found.append(0.0)
        else:
            found.append(max(0.0, abs(quantile(q) - x) - slack) / (abs(x) or distance))
    return found


def marchenko_pastur(rng):
    """Rows by aspect ratio."""
    rows = []
    for ratio in (1e-8, 1e-4, 0.1, 0.3, 0.5, 0.9, 0.9999, 1.0, 1.0001, 2.0, 100.0, 1e4, 1e8):
        law = laws.MarchenkoPastur(ratio)
        worst = np.zeros(5)
        for x in points(*law.support(), rng):
            exact = naive.marchenko_pastur(x, ratio)
            found = [
                error(getattr(law, n)(x), v)
                for n, v in zip(("pdf", "cdf", "sf"), exact, strict=True)
            ]
            worst = np.maximum(worst, found + inverse_error(law, x, exact[1], exact[2]))
        rows.append((f"γ = {ratio:g}", worst))
    return rows


def two_poles(cases):
    """Rows for laws with a square root over two linear factors."""
    spec = importlib.util.spec_from_file_location(
        "t", ROOT / "tests" / "laws" / "test_two_poles.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rng, rows = np.random.default_rng(0), []
    for law in cases:
        with mp.workdps(30):
            left, right, norm, poles, low, high = module.exact(law)
        worst = np.zeros(5)
        for x in points(*law.support(), rng):
            with mp.workdps(30):
                if not left < mp.mpf(x) < right:
                    continue
            pdf, below, above = naive.two_poles(x, left, right, norm, poles)
            exact = pdf, below + float(low), above + float(high)
            found = [
                error(getattr(law, n)(x), v)
                for n, v in zip(("pdf", "cdf", "sf"), exact, strict=True)
            ]
            worst = np.maximum(worst, found + inverse_error(law, x, exact[1], exact[2]))
        rows.append((f"`{law!r}`", worst))
    return rows


def semicircle(rng):
    """Rows of the semicircle."""
    return two_poles([laws.Semicircle(2.0)])


def wachter(rng):
    """Rows of the Wachter law."""
    pairs = [(0.5, 0.2), (1.0, 0.3), (3.0, 0.9), (1e-4, 1e-3), (200.0, 0.01)]
    return two_poles([laws.Wachter(*v) for v in pairs])


def jacobi(rng):
    """Rows of the Jacobi law."""
    triples = [(1, 3, 5), (1, 0.7, 0.6), (1, 1, 2.5), (1, 40, 1.001)]
    return two_poles([laws.Jacobi(*v) for v in triples])


def free_poisson(law, rates, jumps, weight):
    """Worst errors of pdf (all roots) and of cdf and sf (quadrature from the outer edges)."""
    rng = np.random.default_rng(0)
    worst = np.zeros(3)
    for left, right in law.edges():
        for x in points(left, right, rng)[::2]:
            if min(x - left, right - x) < 1e-7 * (right - left):
                continue  # the witness takes rounded edges
            worst[0] = max(
                worst[0], error(law.pdf(x), naive.free_poisson_density(x, rates, jumps, weight))
            )
    atom = sum(m for at, m in law.atoms() if at <= law.support()[0])
    left, right = law.edges()[0]
    for part in (1e-5, 0.3, 0.9):
        x = left + part * (right - left)
        mass = naive.free_poisson_mass(left, x, rates, jumps, weight)
        worst[1] = max(worst[1], error(law.cdf(x), mass + atom))
    left, right = law.edges()[-1]
    for part in (1e-5, 0.3):
        x = right - part * (right - left)
        mass = naive.free_poisson_mass(right, x, rates, jumps, weight)
        worst[2] = max(worst[2], error(law.sf(x), -mass))
    return worst


def generalized_marchenko_pastur(rng):
    """Rows of the generalised law."""
    rows = []
    for ratio, atoms, weights in (
        (0.1, (1, 8), ("0.5", "0.5")),
        (0.5, (1, 8), ("0.5", "0.5")),
        (2.0, (1, 3, 10), ("0.25", "0.25", "0.5")),
        (0.2, (1, 3), ("0.999999", "0.000001")),
    ):
        law = laws.GeneralizedMarchenkoPastur(ratio, atoms, [float(w) for w in weights])
        with mp.workdps(40):
            exact = [mp.mpf(float(w)) for w in weights]
            total = sum(exact)
            rates = [mp.mpf(ratio) * w / total for w in exact]
            worst = free_poisson(law, rates, atoms, 1 / mp.mpf(ratio))
        rows.append((f"γ = {ratio}, atoms {atoms}, weights ({', '.join(weights)})", worst))
    return rows


def descent_ascent(rng):
    """Rows of the descent–ascent law."""
    rows = []
    for retain, forget, alpha in (
        (0.2, 0.5, 0.3),
        (5.0, 5.0, 0.5),
        (8.0, 0.3, 0.6),
        (0.1, 20.0, 0.1),
    ):
        law = laws.DescentAscent(retain, forget, alpha)
        with mp.workdps(40):
            r, f, a = mp.mpf(retain), mp.mpf(forget), mp.mpf(alpha)
            worst = free_poisson(law, [1 / r, 1 / f], [r * (1 - a), -f * a], 1)
        rows.append((f"γ_r = {retain}, γ_f = {forget}, α = {alpha}", worst))
    return rows


def tracy_widom(rng):
    """Rows by index and range, against Painlevé II between the nodes."""
    spec = importlib.util.spec_from_file_location(
        "t", ROOT / "validation" / "tabulate_tracy_widom.py"
    )
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    arb = table.arb
    table.flint.ctx.dps = table.DIGITS
    state, h, found = table.start(), arb(1) / table.STEPS, {1: [], 2: [], 4: []}
    for k in range(table.TOP * table.STEPS, table.BOTTOM * table.STEPS, -1):
        step = table.Step(arb(k) / table.STEPS, state)
        s = (k - rng.random()) / table.STEPS
        q, _, u, w, v = step(arb(s) - step.s)
        for index, (below, above, density) in table.logarithms(q, u, v, w).items():
            found[index].append((s, [float(y.exp()) for y in (density, below, above)]))
        state = step(-h)[:4]
    rows = []
    for index in (1, 2, 4):
        law = laws.TracyWidom(index, "rmtstat")  # in the variable of Painlevé II
        for low, high in ((-28, -8), (-8, 6), (6, 112)):
            worst = np.zeros(5)
            for s, exact in found[index]:
                if not low <= s < high:
                    continue
                values = law.pdf(s), law.cdf(s), law.sf(s)
                errors = [
                    error(a, b) if b > 1e-300 else 0.0 for a, b in zip(values, exact, strict=True)
                ]
                inverse = [0.0, 0.0]
                if min(exact) > 1e-300 and abs(s) > 0.1:
                    inverse = inverse_error(law, s, exact[1], exact[2])
                worst = np.maximum(worst, errors + inverse)
            rows.append((f"β = {index}, s in [{low}, {high}]", worst))
    return rows


def against(law, exact):
    """Worst relative errors of one law against another that is known to 1e-14."""
    worst = np.zeros(5)
    for left, right in exact.edges():
        for part in (1e-4, 1e-3, 0.03, 0.2, 0.5, 0.8, 0.97, 1 - 1e-3, 1 - 1e-4):
            x = left + part * (right - left)
            values = [getattr(exact, n)(x) for n in ("pdf", "cdf", "sf")]
            found = [
                error(getattr(law, n)(x), v)
                for n, v in zip(("pdf", "cdf", "sf"), values, strict=True)
            ]
            worst = np.maximum(worst, found + inverse_error(law, x, *values[1:]))
    return worst


def free_convolution(rng):
    """Rows of free sums that have another name."""
    mp = laws.MarchenkoPastur
    cases = [
        (laws.FreeSum(mp(0.2), mp(0.5), 0.7, -0.3), laws.DescentAscent(0.2, 0.5, 0.3)),
        (laws.FreeSum(mp(5.0), mp(5.0), 0.5, -0.5), laws.DescentAscent(5.0, 5.0, 0.5)),
        (laws.FreeSum(mp(0.1), mp(9.0), 0.9, -0.1), laws.DescentAscent(0.1, 9.0, 0.1)),
        (
            laws.FreeSum(laws.Semicircle(1.0), laws.Semicircle(2.0)),
            laws.Semicircle(math.sqrt(5.0)),
        ),
        (laws.FreeSum(mp(0.5), mp(2.0), 4.0, 1.0), mp(0.4, 5.0)),
    ]
    return [(f"`{exact!r}`", against(law, exact)) for law, exact in cases]


def tracy_widom_general(rng):
    """Rows of absolute errors: the general solver and the determinants against stored laws."""
    from rmtstab.laws import _stochastic_airy

    rows = []
    for index in (1, 2, 4):
        x, cdf, pdf = _stochastic_airy.distribution(float(index), 1)
        law = laws.TracyWidom(index, "stochastic_airy")
        found = np.abs(pdf - law.pdf(x)).max(), np.abs(cdf - law.cdf(x)).max()
        rows.append((f"β = {index}, k = 1, the general solver", np.array(found)))
    x = np.linspace(-12.0, 4.0, 801)
    pairs = [(laws.TracyWidom(1, k=2), laws.TracyWidom(4, "rmtstat"), "β = 1, k = 2, decimation")]
    for law, exact, label in pairs:
        found = np.abs(law.pdf(x) - exact.pdf(x)).max(), np.abs(law.cdf(x) - exact.cdf(x)).max()
        rows.append((label, np.array(found)))
    for index in (1, 2):
        x, cdf, pdf = _stochastic_airy.distribution(float(index), 2)
        law = laws.TracyWidom(index, k=2)
        found = np.abs(pdf - law.pdf(x)).max(), np.abs(cdf - law.cdf(x)).max()
        rows.append((f"β = {index}, k = 2, determinants against the general solver",
                     np.array(found)))  # fmt: skip
    return rows


def sine_counts(s):
    """Chances of no even, and of no odd, eigenvalue in [0, s], with two derivatives: 80 digits."""
    from flint import arb, arb_mat

    size, pi = 40 + 3 * int(float(s)), arb.pi()
    roots = [arb.legendre_p_root(size, k, weight=True) for k in range(size)]
    x, w = [(1 + r[0]) / 2 for r in roots], [r[1] / 2 for r in roots]

    def kernel(u, at_zero):
        angle = pi * s * u / 2
        sine = angle.sin()
        first = s / 2 if at_zero else sine / (pi * u)
        return first, angle.cos() / 2, -pi * u / 4 * sine

    found = []
    for sign in (1, -1):
        rows = [[[], [], []] for _ in x]
        for i, row in enumerate(rows):
            for j in range(size):
                near, far = kernel(x[i] - x[j], i == j), kernel(x[i] + x[j], False)
                for k in range(3):
                    row[k].append(w[j] * (near[k] + sign * far[k]))
        matrix, first, second = (arb_mat([row[k] for row in rows]) for k in range(3))
        rest = arb_mat([[int(i == j) - matrix[i, j] for j in range(size)] for i in range(size)])
        value, a, b = rest.det(), rest.solve(first), rest.solve(second)
        trace, bend, square = (sum((m[i, i] for i in range(size)), arb(0)) for m in (a, b, a * a))
        found.append((value, -value * trace, value * (trace * trace - bend - square)))
    return found


def spacing(rng):
    """Rows of absolute errors of the nearest neighbour's law, and of the chance of a gap."""
    import flint

    flint.ctx.dps, rows = 80, []
    for index in (1, 2, 4):
        law, worst = laws.Spacing(index), np.zeros(3)
        for s in np.geomspace(0.01, float(law.isf(1e-13)), 40):
            if index == 4:
                even, odd = sine_counts(2 * flint.arb(s))
                gap, slope, bend = ((even[k] + odd[k]) * 2**k / 2 for k in range(3))
            else:
                even, odd = sine_counts(flint.arb(s))
                gap, slope, bend = even
                if index == 2:
                    gap, slope = even[0] * odd[0], even[1] * odd[0] + even[0] * odd[1]
                    bend = even[2] * odd[0] + 2 * even[1] * odd[1] + even[0] * odd[2]
            exact = [float(v.mid()) for v in (bend, 1 + slope, -slope, gap)]
            point = laws.Spacing(index, origin="point")
            found = [law.pdf(s), law.cdf(s), law.sf(s), point.sf(s)]
            errors = np.abs(np.subtract(found, exact))
            worst = np.maximum(worst, [errors[0], max(errors[1], errors[3]), errors[2]])
        rows.append((f"β = {index}", worst))
    return rows


def main():
    """Measure, and keep each law's rows as soon as they are there."""
    pages = [
        marchenko_pastur,
        semicircle,
        wachter,
        jacobi,
        generalized_marchenko_pastur,
        descent_ascent,
        tracy_widom,
        tracy_widom_general,
        free_convolution,
        spacing,
    ]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=[p.__name__ for p in pages])
    only = parser.parse_args().only
    for make in pages:
        if only not in (None, make.__name__):
            continue
        rows = [[label, worst.tolist()] for label, worst in make(np.random.default_rng(0))]
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        kept[make.__name__] = {
            "kind": "absolute" if make in (tracy_widom_general, spacing) else "relative",
            "rows": rows,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "versions": versions(),
        }
        ordered = {page.__name__: kept[page.__name__] for page in pages if page.__name__ in kept}
        RESULTS.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")
        print(make.__name__, *rows, sep="\n", flush=True)


if __name__ == "__main__":
    main()
