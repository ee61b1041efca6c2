"""A 40 × 40 map at r = 200, against each cell from scratch.

Run ``OPENBLAS_NUM_THREADS=1 python validation/benchmarks/stability_map.py``.
"""

import time
from collections import Counter

import numpy as np

from rmtstab import UnlearningProblem


def main(side=40, sampled=4):
    """Print seconds of the map, and the ratio to separate cells (a sample of them, scaled up)."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((200, 300)) / 15
    problem = UnlearningProblem.from_factors(z[:150], z[150:])
    step = 0.5 * float(problem.critical_step_size((8, 4), 0.0))
    batches = [(int(b), max(1, int(b) // 4)) for b in np.linspace(2, 150, side)]
    alphas = np.linspace(0.0, 0.9, side)
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
        f"map {side} x {side}, r=200, 2 threads: {together:.1f} s; "
        f"cells from scratch on one thread / map: {apart / together:.1f}"
    )
    print(f"largest relative difference of sampled cells: {worst:.1e}")
    counts = Counter(verdict.value for verdict in found.verdicts.ravel())
    widths = np.sort((found.error_bounds / found.values).ravel())
    print(
        f"verdicts: {dict(counts)}; certified relative widths: "
        f"median {widths[len(widths) // 2]:.1e}, largest {widths[-1]:.1e}"
    )


if __name__ == "__main__":
    main()
