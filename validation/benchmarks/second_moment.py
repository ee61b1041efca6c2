"""One application of Φ over the dense products it cannot avoid.

Run ``python validation/benchmarks/second_moment.py``; prints ratios of one run on this machine.
The floor is the two full products with the factors. First ratio: any matrix; second: a
symmetric one, for which Φ forms halves of products.
"""

import numpy as np
from timing import median_seconds

from rmtstab import UnlearningProblem


def ratio(n, c, sampling, repeats=5):
    """Application over its two dense products, r = nC: general, and symmetric argument."""
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

    least = median_seconds(floor, repeats)
    return [median_seconds(lambda f=f: f(m), repeats) / least for f in (phi, phi.symmetric)]


if __name__ == "__main__":
    for n, c in ((500, 1), (1000, 1), (2000, 1), (100, 10), (200, 10)):
        for sampling in ("bernoulli", "without_replacement"):
            general, symmetric = ratio(n, c, sampling)
            print(
                f"one application / two products, C={c}, n={n}, r={n * c}, {sampling}: "
                f"{general:.2f}, symmetric {symmetric:.2f}",
                flush=True,
            )
