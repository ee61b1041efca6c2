"""A 40 × 40 map at r = 200, against each cell from scratch, without and with a curve inside.

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


def main(side=40, sampled=4):
    """Print seconds of both maps, and the ratio to separate cells (a sample of them, scaled up)."""
    for crosses in (False, True):
        problem = build(np.random.default_rng(0), crosses)
        step = 0.5 * float(problem.critical_step_size((8, 4), 0.0))
        sizes = np.linspace(2, problem.n_retain, side).astype(int)
        batches = [(int(b), max(1, int(b) // 4)) for b in sizes]
        alphas = np.linspace(0.0, 0.06 if crosses else 0.9, side)
        start = time.perf_counter()
        found = problem.frontier(step, batches, alphas, workers=2)
        together = time.perf_counter() - start
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


if __name__ == "__main__":
    main()
