"""Cost of the bounds over the exact growth factor, and their tightness at that size.

Run ``python validation/benchmarks/bounds.py [n]``; prints ratios of one run on this machine.
The basis of D(alpha) is built before either is timed: every route needs it.
"""

import sys
import time

import numpy as np

from rmtstab import UnlearningProblem
from rmtstab.bounds import COSTS

SETTINGS = [(s, a) for s in ("bernoulli", "without_replacement") for a in (0.0, 0.2)]


def fresh(problem):
    """The same problem with its basis, without what the bounds or the exact route have cached."""
    copy = UnlearningProblem(problem.factors, problem.n_retain)
    copy._bases, copy._means = problem._bases, problem._means
    return copy


def seconds(call, repeats=3):
    """Least wall time of ``call(problem)`` over fresh problems."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def main(n):
    """Print, for each scheme and mixing, cost over exact and tightness of each bound."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((n, n)) / np.sqrt(n)
    problem = UnlearningProblem.from_factors(z[: 3 * n // 4], z[3 * n // 4 :])
    for sampling, alpha in SETTINGS:
        step = 0.9 * float(problem.critical_step_size((16, 4), 0.0, sampling=sampling))

        def dynamics(step=step, alpha=alpha, sampling=sampling):
            return fresh(problem).dynamics(step, (16, 4), alpha, sampling)

        exact = dynamics().growth()
        floor = seconds(lambda make=dynamics: make().growth())
        ratios = [
            seconds(lambda cost=cost, make=dynamics: make().bounds(cost, gap=False)) / floor
            for cost in COSTS
        ]
        words = ", ".join(f"{c} {r:.3f}" for c, r in zip(COSTS, ratios, strict=True))
        print(f"n = r = {n}, {sampling}, alpha = {alpha}: cost over exact: {words}")
        for b in dynamics().bounds(gap=False):
            if np.isfinite(b.rho_bound):
                ratio = b.rho_bound / exact.value
                print(f"    {b.name:22s} {ratio if b.kind == 'necessary' else 1 / ratio:.6f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
