"""Growth factor and critical step size at n = r = 1000: applications and seconds.

Run ``python validation/benchmarks/growth.py [n]``.
"""

import sys
import time

import numpy as np

from rmtstab import UnlearningProblem
from rmtstab.dynamics import growth as solver


def main(n):
    """Print applications, seconds and certificate."""
    rng = np.random.default_rng(0)
    spectrum = (1 + np.arange(n)) ** -0.5
    z = rng.standard_normal((n, n)) * spectrum
    split = 3 * n // 4
    start = time.perf_counter()
    problem = UnlearningProblem.from_factors(z[:split], z[split:])
    print(f"reduction, n={n}: {time.perf_counter() - start:.1f} s, rank {problem.rank}")
    start = time.perf_counter()
    critical = problem.critical_step_size((16, 4), 0.0)
    seconds = time.perf_counter() - start
    print(f"critical step size: {critical.value:.8g} ± {critical.error_bound:.1e}, {seconds:.1f} s")
    for alpha in (0.0, 0.2):
        dyn = problem.dynamics(1.5 * critical.value, (16, 4), alpha)
        _ = dyn.basis
        start = time.perf_counter()
        top = solver.solve(dyn)
        seconds = time.perf_counter() - start
        print(
            f"growth, alpha={alpha}: {top.value:.8g} ± {top.upper - top.value:.1e}, "
            f"{top.applications} applications, {seconds:.1f} s"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
