"""Simulation against a plain NumPy loop of the same algorithm, and two threads against one.

Run ``python validation/benchmarks/simulation.py``; prints ratios of one run on this machine.
"""

import numpy as np
from timing import median_seconds

from rmtstab import UnlearningProblem


def loop(problem, step, batches, alpha, steps, replicas, rng):
    """The same update, one replica and one step at a time."""
    a, n_retain = problem.factors.matrix.T, problem.n_retain
    n = len(a)
    norms = np.empty((replicas, steps + 1))
    for k in range(replicas):
        w = rng.standard_normal(a.shape[1])
        w /= np.linalg.norm(w)
        norms[k, 0] = 1.0
        for t in range(steps):
            r = rng.choice(n_retain, batches[0], replace=False)
            f = n_retain + rng.choice(n - n_retain, batches[1], replace=False)
            down = a[r].T @ (a[r] @ w) * (1 - alpha) / batches[0]
            up = a[f].T @ (a[f] @ w) * alpha / batches[1]
            w = w - step * (down - up)
            norms[k, t + 1] = np.linalg.norm(w)
    return norms


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    z = rng.standard_normal((60, 150)) / 12
    problem = UnlearningProblem.from_factors(z[:48], z[48:])
    dyn = problem.dynamics(5.0, (4, 1), 0.2)
    dyn.simulate(2, 2, 0)
    fast = median_seconds(lambda: dyn.simulate(100, 200, 0), 5)
    slow = median_seconds(lambda: loop(problem, 5.0, (4, 1), 0.2, 100, 20, rng), 3) * 10
    print(f"NumPy loop / simulate, n=60, batches 4/1: {slow / fast:.1f}")
    one = median_seconds(lambda: dyn.simulate(2000, 100, 0), 5)
    two = median_seconds(lambda: dyn.simulate(2000, 100, 0, workers=2), 5)
    print(f"one thread / two threads: {one / two:.2f}")
