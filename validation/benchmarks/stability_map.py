"""A 40 × 40 map at r = 200 against cells from scratch and dense Kronecker matrices.

Without and with a frontier inside the map.

Run ``OPENBLAS_NUM_THREADS=1 python validation/benchmarks/stability_map.py``.
"""

import time
from collections import Counter

import numpy as np

from rmtstab import UnlearningProblem


def build(rng, crosses):
    """Problem of rank 200; the frontier is interior where the retain set covers the range."""
    if crosses:
        z = rng.standard_normal((400, 200)) / 15
        return UnlearningProblem.from_factors(z[:300], z[300:])
    z = rng.standard_normal((200, 300)) / 15
    return UnlearningProblem.from_factors(z[:150], z[150:])


def dense_seconds(r):
    """``eigvalsh`` of Φ as an r² × r² matrix; forming that matrix is not counted."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((r + r // 2, r)) / np.sqrt(r)
    problem = UnlearningProblem.from_factors(z[:r], z[r:])
    operator, _ = problem.dynamics(0.1, (4, 2), 0.2).operator()
    dense = np.array([operator @ row for row in np.eye(r * r)])
    times = []
    for _ in range(3 if r < 40 else 1):
        start = time.process_time()
        values = np.linalg.eigvalsh(dense)
        times.append(time.process_time() - start)
    if r <= 12:  # the matrix is that of Φ
        assert abs(values[-1] / problem.dynamics(0.1, (4, 2), 0.2).growth_factor() - 1) < 1e-10
    return min(times)


def largest_rank(table, seconds):
    """Largest r whose dense solve fits: r⁶ from the nearest measured solve below it."""
    nearest = max((r for r, t in table.items() if t <= seconds), default=min(table))
    return int(nearest * (seconds / table[nearest]) ** (1 / 6))


def main(side=40, sampled=4):
    """Print seconds of both maps, and the ratio to separate cells (a sample of them, scaled up)."""
    seconds = []
    for crosses in (False, True):
        problem = build(np.random.default_rng(0), crosses)
        step = 0.5 * float(problem.critical_step_size((8, 4), 0.0))
        sizes = np.linspace(2, problem.n_retain, side).astype(int)
        batches = [(int(b), max(1, int(b) // 4)) for b in sizes]
        alphas = np.linspace(0.0, 0.06 if crosses else 0.9, side)
        start = time.perf_counter()
        found = problem.frontier(step, batches, alphas, workers=2)
        together = time.perf_counter() - start
        seconds.append(together)
        picks = np.linspace(0, side - 1, sampled).astype(int)
        start = time.perf_counter()
        worst = 0.0
        for i in picks:
            for k in picks:
                fresh = UnlearningProblem(problem.factors, problem.n_retain)
                value = fresh.dynamics(step, batches[k], alphas[i]).growth_factor()
                worst = max(worst, abs(found.values[i, k] / value - 1))
        apart = (time.perf_counter() - start) * side**2 / sampled**2
        print(
            f"map {side} x {side}, r=200, n={problem.n_retain + problem.n_forget}, 2 threads: "
            f"{together:.1f} s; cells from scratch on one thread / map: {apart / together:.1f}"
        )
        print(f"largest relative difference of sampled cells: {worst:.1e}")
        counts = Counter(verdict.value for verdict in found.verdicts.ravel())
        widths = np.sort((found.error_bounds / found.values).ravel())
        print(
            f"verdicts: {dict(counts)}; certified relative widths: "
            f"median {widths[len(widths) // 2]:.1e}, largest {widths[-1]:.1e}; "
            f"largest error of the curve {np.nanmax(found.critical_error):.1e}"
        )
    return seconds[0]


if __name__ == "__main__":
    spent = main()
    table = {r: dense_seconds(r) for r in (8, 12, 16, 20, 24, 28, 32, 40, 48, 64)}
    for label, seconds in (("the time of the map", spent), ("one minute", 60.0)):
        # two cells at a time, as the map has two threads
        r = largest_rank(table, 2 * seconds / 1600)
        print(f"largest r, one dense solve a cell, 1600 cells in {label} ({seconds:.0f} s): {r}")
    r = largest_rank(table, 60.0)
    print(
        f"largest r, one single cell in one minute: {r} "
        f"(from {table[64]:.1f} s at r = 64, as r⁶; the matrix takes {8e-9 * r**4:.1f} GB)"
    )
