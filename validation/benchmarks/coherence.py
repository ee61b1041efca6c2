"""Coherence over the Gram product it needs, and at 20,000 samples with its peak memory.

Run ``python validation/benchmarks/coherence.py [n]``: ratios of processor time,
one run, this machine.
With n, only the large case: S stored, then matrix-free, each in a process of its own.
"""

import resource
import subprocess
import sys
import time

import numpy as np
from timing import median_seconds

from rmtstab import UnlearningProblem
from rmtstab.curvature import ReducedFactors


def ratio(n, c):
    """``problem.coherence(alpha)`` over one dense Gram product."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((n, c, 100))
    problem = UnlearningProblem.from_factors(z[: n // 2], z[n // 2 :])
    a = problem.factors.matrix

    def fresh():
        UnlearningProblem(problem.factors, problem.n_retain).coherence(0.3)

    gram = median_seconds(lambda: a.T @ np.ascontiguousarray(a), 3)
    return median_seconds(fresh, 3) / gram


def large(n, matrix_free, dim=200):
    """All axes, then 100 mixings, of n rank-one samples; seconds, Gram products and gigabytes."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((n, dim)) * (1 + np.arange(dim)) ** -0.5
    factors = ReducedFactors.from_factors(z)
    problem = UnlearningProblem(factors, 3 * n // 4)
    a, strip = factors.matrix, 500
    start = time.process_time()
    for first in range(0, n, 10 * strip):  # a tenth of the full Gram product, strip by strip
        a[:, first : first + strip].T @ a
    gram = 10.0 * (time.process_time() - start)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    start = time.process_time()
    found = problem.coherence(0.2, matrix_free=matrix_free)
    axes = time.process_time() - start
    start = time.process_time()
    many = problem.unlearning_coherence(np.linspace(0.0, 1.0, 100), matrix_free=matrix_free)
    mixings = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(
        f"n={n}, {'matrix-free' if matrix_free else 'S stored'} (n x n: {8e-9 * n * n:.2f} GB): "
        f"axes {axes:.1f} processor s = {axes / gram:.1f} Gram products, "
        f"100 mixings {mixings:.1f} s = {mixings / gram:.1f}, one Gram product {gram:.1f} s"
    )
    print(
        f"  peak memory {peak:.2f} GB, {before:.2f} GB before; total {found.total:.12g}, "
        f"unlearning {found.unlearning:.12g}, largest of 100 mixings {many.max():.12g}",
        flush=True,
    )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        large(int(sys.argv[1]), sys.argv[2] == "matrix-free")
    else:
        if len(sys.argv) == 1:
            for n, c in ((2000, 1), (4000, 1), (400, 10)):
                print(f"coherence / Gram product, n={n}, C={c}: {ratio(n, c):.1f}", flush=True)
        size = sys.argv[1] if len(sys.argv) == 2 else "20000"
        for kind in ("stored", "matrix-free"):
            subprocess.run([sys.executable, __file__, size, kind], check=True)
