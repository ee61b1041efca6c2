"""Speed of the laws against the floor: the final formula as a bare Numba loop.

One core, medians, input of a million points, allocation of the output included on both
sides. Prints a table, or JSON with ``--json``; the first call in a fresh process is
measured in subprocesses, with a warm and with an empty cache.

    python validation/benchmarks/laws.py
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time

import numba
import numpy as np

from rmtstab import laws

POINTS = 10**6


def median(function, repeats):
    """Return the median wall-clock time of a call, after one to compile."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def paired(ours, floor, repeats=15):
    """Return both medians, the two measured in turn so that the machine's load cancels."""
    ours(), floor()
    first, second = [], []
    for _ in range(repeats):
        for function, times in ((ours, first), (floor, second)):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
    return float(np.median(first)), float(np.median(second))


@numba.njit
def mp_pdf_floor(x, left, right, norm):
    """The density at unit scale."""
    out = np.empty_like(x)
    for i in range(x.size):
        product = (x[i] - left) * (right - x[i])
        out[i] = norm * math.sqrt(product) / x[i] if product > 0.0 else 0.0
    return out


@numba.njit
def mp_cdf_floor(x, left, right, q):
    """The arctangent form with one edge: two arctangents and a square root a point."""
    out = np.empty_like(x)
    stretch, gap = (1 + q) / (1 - q), 1 - q * q
    for i in range(x.size):
        if x[i] <= left:
            out[i] = 0.0
        elif x[i] >= right:
            out[i] = 1.0
        else:
            t = math.sqrt((x[i] - left) / (right - x[i]))
            swing = (1 + q * q) * math.atan(t) + 2 * q * t / (1 + t * t)
            out[i] = (swing - gap * math.atan(stretch * t)) / (math.pi * q * q)
    return out


@numba.njit
def mp_ppf_floor(p, grid, nodes, left, right, q, norm):
    """Linear interpolation of the distribution function, then three Newton steps."""
    out = np.empty_like(p)
    stretch, gap = (1 + q) / (1 - q), 1 - q * q
    for i in range(p.size):
        k = min(max(np.searchsorted(nodes, p[i]), 1), nodes.size - 1)
        part = (p[i] - nodes[k - 1]) / (nodes[k] - nodes[k - 1])
        x = grid[k - 1] + part * (grid[k] - grid[k - 1])
        for _ in range(3):
            t = math.sqrt((x - left) / (right - x))
            swing = (1 + q * q) * math.atan(t) + 2 * q * t / (1 + t * t)
            value = (swing - gap * math.atan(stretch * t)) / (math.pi * q * q)
            slope = norm * math.sqrt((x - left) * (right - x)) / x
            x = min(max(x - (value - p[i]) / slope, left + 1e-12), right - 1e-12)
        out[i] = x
    return out


@numba.njit
def chebyshev_floor(x, table, low, high):
    """Exponential of a polynomial of degree 17 on unit panels, nothing else."""
    out = np.empty_like(x)
    for i in range(x.size):
        t = min(max(x[i], low), high - 1e-9)
        k = int(t - low)
        z = 2.0 * (t - low - k) - 1.0
        value = table[k, 17]
        for j in range(16, -1, -1):
            value = value * z + table[k, j]
        out[i] = math.exp(value)
    return out


def closed_form(x, ratio):
    """The distribution function as one writes it with NumPy."""
    if ratio > 1:
        return 1 - 1 / ratio + closed_form(x / ratio, 1 / ratio) / ratio
    root = math.sqrt(ratio)
    low, high = (1 - root) ** 2, (1 + root) ** 2
    r = np.sqrt((high - x) / (x - low))
    value = np.pi * ratio + np.sqrt((high - x) * (x - low))
    value -= (1 + ratio) * np.arctan((r * r - 1) / (2 * r))
    if ratio < 1:
        value += (1 - ratio) * np.arctan((low * r * r - high) / (2 * (1 - ratio) * r))
    return value / (2 * np.pi * ratio)


def least_cpu(function, repeats=25):
    """Return the least CPU time of a call, in which other processes do not count."""
    function()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def against_numpy():
    """Return rows of the Marchenko–Pastur law against its closed form in vectorised NumPy."""
    rows = []
    for ratio in (1e-3, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0, 1.001, 1.01, 1.5, 4.0, 1e3):
        law = laws.MarchenkoPastur(ratio)
        left, right = law.support()
        x = np.random.default_rng(0).uniform(left + 1e-9 * (right - left), right, POINTS)
        np.testing.assert_allclose(law.cdf(x), closed_form(x, ratio), rtol=0, atol=1e-9)
        ours, theirs = (
            least_cpu(lambda l=law, y=x: l.cdf(y)),
            least_cpu(lambda y=x, g=ratio: closed_form(y, g)),
        )
        rows.append((f"MP cdf, ratio {ratio:g}, NumPy", ours, theirs, 1.2))
    return rows


def measure():
    """Return rows (task, ours, floor, asked)."""
    rng = np.random.default_rng(0)
    rows = against_numpy()
    law = laws.MarchenkoPastur(0.5)
    left, right = law.support()
    q, norm = math.sqrt(0.5), 1.0 / (2.0 * math.pi * 0.5)
    x, p = rng.uniform(left, right, POINTS), rng.random(POINTS)
    rows.append(
        ("MP cdf", *paired(lambda: law.cdf(x), lambda: mp_cdf_floor(x, left, right, q)), 1.3)
    )
    rows.append(
        ("MP pdf", *paired(lambda: law.pdf(x), lambda: mp_pdf_floor(x, left, right, norm)), 1.3)
    )
    grid = left + (right - left) * np.sin(np.linspace(0, np.pi / 2, 2000)) ** 2
    nodes = law.cdf(grid)
    rows.append(
        ("MP ppf",
         *paired(lambda: law.ppf(p),
                 lambda: mp_ppf_floor(p, grid, nodes, left, right, q, norm), 5), 1.3)
    )  # fmt: skip
    law2 = laws.TracyWidom(2)
    s = rng.uniform(-8, 6, POINTS)
    table = laws.tracy_widom._table(2, 1)
    for name in ("cdf", "sf", "pdf"):
        rows.append(
            (f"TW {name}",
             *paired(lambda n=name: getattr(law2, n)(s),
                     lambda: chebyshev_floor(s, table.tail, table.low, table.high)), 1.5)
        )  # fmt: skip
    return rows


def generalised():
    """Return rows (task, seconds, asked) of the generalised law."""
    rng = np.random.default_rng(0)
    two = laws.GeneralizedMarchenkoPastur(0.1, [1, 8], [0.5, 0.5])
    x = np.concatenate([rng.uniform(a, b, 50_000) for a, b in two.edges()])
    rows = [
        ("generalised MP density, 2 atoms, a point", median(lambda: two.pdf(x), 7) / x.size, 3e-6)
    ]
    atoms, weights = np.sort(rng.uniform(0.1, 10, 50)), np.full(50, 0.02)
    for ratio in (0.02, 0.5):
        law = laws.GeneralizedMarchenkoPastur(ratio, atoms, weights)
        grid = np.linspace(*law.support(), 2000)
        rows.append(
            (
                f"50 atoms x 2000 points, ratio {ratio}",
                median(lambda a=law, b=grid: a.pdf(b), 7),
                20e-3,
            )
        )
    start = time.perf_counter()
    laws.GeneralizedMarchenkoPastur(0.021, atoms, weights).edges()
    rows.append(("50 atoms: edges and tables", time.perf_counter() - start, math.nan))
    start = time.perf_counter()
    laws.GeneralizedMarchenkoPastur(0.5, np.sort(rng.uniform(0.1, 10, 10_000))).edges()
    rows.append(("10⁴ atoms: edges and tables", time.perf_counter() - start, 2.0))
    start = time.perf_counter()
    free = laws.FreeSum(laws.MarchenkoPastur(0.5), laws.Semicircle(1.0))
    free.edges()
    rows.append(("free sum: edges and tables", time.perf_counter() - start, math.nan))
    grid = np.linspace(*free.support(), 2000)
    rows.append(("free sum x 2000 points", median(lambda: free.pdf(grid), 7), 50e-3))
    for index in (0.1, 0.3, 6, 14, 30, 60, 100):
        start = time.process_time()
        laws.TracyWidom(index).cdf(0.0)
        rows.append((f"Tracy–Widom, index {index}: table (CPU)", time.process_time() - start, 1.0))
    return rows


def top_of_wishart():
    """Return a row: the largest eigenvalue of a 1000 x 2000 draw, ours and the whole model."""
    from scipy.linalg import eigh_tridiagonal

    from rmtstab.ensembles import Wishart

    rng, count = np.random.default_rng(0), np.arange(1000.0)

    def whole():
        diagonal = np.sqrt(2.0 * rng.standard_gamma(0.5 * (2000.0 - count)))
        below = np.sqrt(2.0 * rng.standard_gamma(0.5 * (999.0 - count[:999])))
        squares = diagonal**2
        squares[1:] += below**2
        return eigh_tridiagonal(
            squares, diagonal[:-1] * below, eigvals_only=True, select="i", select_range=(999, 999)
        )

    model = Wishart(2000, 1000)
    return ("λ_max of a Wishart draw", *paired(lambda: model.eigenvalues(rng, 1), whole, 50), 1.3)


FIRST = """
import time, numpy as np
start = time.perf_counter()
from rmtstab import laws
imported = time.perf_counter()
{call}
print(imported - start, time.perf_counter() - imported)
"""
CALLS = {
    "MP cdf": "laws.MarchenkoPastur(0.5).cdf(1.0)",
    "TW cdf": "laws.TracyWidom(2).cdf(0.0)",
    "generalised MP pdf": "laws.GeneralizedMarchenkoPastur(0.1, [1, 8], [0.5, 0.5]).pdf(1.0)",
}


def first_calls():
    """Return rows (task, import, first call with a warm cache, with an empty one)."""
    rows = []
    for name, call in CALLS.items():
        with tempfile.TemporaryDirectory() as empty:
            found = []
            for _ in range(2):
                run = subprocess.run(
                    [sys.executable, "-c", FIRST.format(call=call)],
                    env={**os.environ, "NUMBA_CACHE_DIR": empty},
                    capture_output=True, text=True, check=True,
                )  # fmt: skip
                found.append([float(v) for v in run.stdout.split()])
            rows.append((name, found[1][0], found[1][1], found[0][1]))
    return rows


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--skip-first-call", action="store_true")
    options = parser.parse_args()
    ratios, absolute = [*measure(), top_of_wishart()], generalised()
    first = [] if options.skip_first_call else first_calls()
    if options.json:
        print(json.dumps({"ratios": ratios, "absolute": absolute, "first_call": first}))
        return
    print("| task (10⁶ points) | ours | floor | ratio | asked |\n|---|---|---|---|---|")
    for task, ours, floor, asked in ratios:
        print(f"| {task} | {ours:.4f} s | {floor:.4f} s | {ours / floor:.2f} | ≤ {asked} |")
    print("\n| task | time | asked |\n|---|---|---|")
    for task, seconds, asked in absolute:
        print(f"| {task} | {seconds:.3g} s | ≤ {asked:g} s |")
    if first:
        print("\n| first call | import | cache warm | cache empty |\n|---|---|---|---|")
        for task, imported, warm, cold in first:
            print(f"| {task} | {imported:.2f} s | {warm:.2f} s | {cold:.2f} s |")


if __name__ == "__main__":
    main()
