"""One application of Φ over the dense products it cannot avoid.

Run ``python validation/benchmarks/second_moment.py``; prints ratios of one run on this machine.
The floor is the two products with the factors that every scheme needs.
"""

import numpy as np
from timing import median_seconds

from rmtstab import UnlearningProblem


def ratio(n, c, sampling, repeats=5):
    """Application over its two dense products, r = nC."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((n, c, n * c + 8)) / np.sqrt(n * c)
    split = 3 * n // 4
    problem = UnlearningProblem.from_factors(z[:split], z[split:])
    phi = problem.dynamics(0.1, (8, 4), 0.2, sampling).second_moment()
    rows = phi.noise.rows
    m = rng.standard_normal((rows.shape[1], rows.shape[1]))
    m = m + m.T

    def floor():
        moved = rows @ m
        rows.T @ moved

    return median_seconds(lambda: phi(m), repeats) / median_seconds(floor, repeats)


if __name__ == "__main__":
    for n in (500, 1000, 2000):
        for sampling in ("bernoulli", "without_replacement"):
            value = ratio(n, 1, sampling)
            print(f"one application / two products, C=1, r=n={n}, {sampling}: {value:.2f}")
    for sampling in ("bernoulli", "without_replacement"):
        value = ratio(100, 10, sampling)
        print(f"one application / two products, C=10, n=100, {sampling}: {value:.2f}")
