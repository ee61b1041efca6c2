"""Coherence over the Gram product it needs.

Run ``python validation/benchmarks/coherence.py``; prints ratios of one run on this machine.
"""

import numpy as np
from timing import median_seconds

from rmtstab import UnlearningProblem


def ratio(n, c):
    """``problem.coherence(alpha)`` over one dense Gram product."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((n, c, 100))
    problem = UnlearningProblem.from_factors(z[: n // 2], z[n // 2 :])
    a = problem.factors.matrix

    def fresh():
        UnlearningProblem(problem.factors, problem.n_retain).coherence(0.3)

    return median_seconds(fresh, 3) / median_seconds(lambda: a.T @ a, 3)


if __name__ == "__main__":
    for n, c in ((2000, 1), (400, 10)):
        print(f"coherence / Gram product, n={n}, C={c}: {ratio(n, c):.1f}")
