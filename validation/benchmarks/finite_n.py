"""Times of fits, counts and finite-n laws, beside the closed form of which a fit is made.

One process, CPU time, best of several; machines differ, ratios less.

    python validation/benchmarks/finite_n.py
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[2])]

from rmtstab import laws  # noqa: E402


def best(call, repeats=5):
    """Least CPU time of a call in milliseconds, after one to compile."""
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return 1e3 * min(times)


def main():
    """Print one line a task."""
    law = laws.MarchenkoPastur(0.5)
    values = law.ppf((np.arange(10**4) + 0.5) / 10**4)
    print(f"cdf of 10,000 eigenvalues                {best(lambda: law.cdf(values)):9.2f} ms")
    for method in ("median", "ks", "mle"):
        cost = best(lambda m=method: laws.MarchenkoPastur.fit(values, 20000, method=m))
        print(f"fit of 10,000 eigenvalues, {method:12s}  {cost:9.2f} ms")
    small = np.linalg.svd(np.random.default_rng(0).standard_normal((60, 30)), compute_uv=False)
    print(
        "count of spikes, 60 x 30, unknown noise  "
        f"{best(lambda: laws.number_of_spikes(small**2 / 60, 60)):9.2f} ms"
    )
    fit = laws.MarchenkoPastur.fit(small**2 / 60, 60)
    print(f"bootstrap of 199 draws, 60 x 30          {best(fit.goodness, 2):9.2f} ms")
    for build in (
        lambda: laws.WishartMax(20, 20),
        lambda: laws.WishartMin(20, 20),
        lambda: laws.RoysRoot(20, 40, 20),
        lambda: laws.WishartMax(100, 100),
    ):
        cost = best(lambda b=build: b().isf(0.05), 2)
        print(f"quantile with its table, {build()!r:45s} {cost:9.2f} ms")


if __name__ == "__main__":
    main()
