"""Growth factor and critical step size at n = r: applications, processor seconds, memory.

Run ``OPENBLAS_NUM_THREADS=2 python validation/benchmarks/growth.py [n …]``; default 1000 2000.
Processor seconds are summed over threads: on two otherwise idle cores, divide by two.
At n = 1000 the gap below ρ is measured too; 4000 takes minutes and prints growth only.
"""

import resource
import sys
import time

import numpy as np

from rmtstab import UnlearningProblem
from rmtstab.dynamics.growth import growth as solve
from rmtstab.dynamics.verdict import assess


def measured(call):
    """Result, wall seconds, processor seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def peak_gigabytes():
    """Largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def relative_gap(dyn):
    """``1 − λ₂/ρ`` on symmetric matrices, by ARPACK."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    phi = dyn.second_moment()
    r = phi.side

    def apply(v):
        m = v.reshape(r, r)
        return phi.symmetric(0.5 * (m + m.T)).ravel()

    start = np.eye(r).ravel()
    operator = LinearOperator((r * r, r * r), matvec=apply, dtype=np.float64)
    second, first = eigsh(operator, k=2, which="LA", v0=start, tol=1e-3, return_eigenvectors=False)
    return 1.0 - second / first


def model(n):
    """Memory in words: see docs/theory/growth.md."""
    array = 8e-9 * n * n
    vectors = min(120.0, 4.0 / (array / 2))
    print(
        f"  memory model: factors 2, basis 2, operator 2, work 9 arrays of {array:.3f} GB, "
        f"Lanczos basis up to {vectors:.0f} vectors of {array / 2:.3f} GB: "
        f"at most {15 * array + vectors * array / 2:.1f} GB"
    )


def main(n):
    """Print applications, seconds, certificate and memory."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((n, n)) * (1 + np.arange(n)) ** -0.5
    split = 3 * n // 4
    print(f"n = r = {n}")
    model(n)
    problem, wall, cpu = measured(lambda: UnlearningProblem.from_factors(z[:split], z[split:]))
    _, _, product = measured(lambda: z @ z)
    print(f"  reduction: {wall:.1f} s, {cpu:.1f} processor s, rank {problem.rank}")
    print(f"  one dense product: {product:.2f} processor s")
    step, cases = 1.6, [(0.2, 1.5, (16, 4))]
    if n <= 2000:
        found, wall, cpu = measured(lambda: problem.critical_step_size((16, 4), 0.0))
        step = found.value
        print(f"  critical step size: {step:.10g} ± {found.error_bound:.1e} ({found.status})")
        print(f"    {wall:.1f} s, {cpu:.1f} processor s")
        cases = [(0.0, 1.5, (16, 4)), (0.2, 1.5, (16, 4))]
    if n <= 1000:  # and one without a gap
        cases.append((0.2, 0.1, (100, 20)))
    for alpha, factor, batches in cases:
        dyn = problem.dynamics(factor * step, batches, alpha)
        _, _, basis = measured(lambda dyn=dyn: dyn.basis)
        top, wall, cpu = measured(lambda dyn=dyn: solve(dyn))
        growth = assess(dyn, top)
        gap = f"gap {relative_gap(dyn):.1%}, " if n <= 1000 else ""
        print(
            f"  growth, alpha={alpha}, step {factor} of critical, batches {batches}: {gap}"
            f"{top.value:.10g}, certified to {top.upper / top.value - 1:.1e}, "
            f"converged {growth.converged}, {growth.verdict.value}"
        )
        print(
            f"    {top.applications} applications, {wall:.1f} s, {cpu:.1f} processor s "
            f"({cpu / top.applications / product:.1f} dense products each), basis {basis:.1f}"
        )
    print(f"  peak memory of the process: {peak_gigabytes():.2f} GB")


if __name__ == "__main__":
    for size in [int(a) for a in sys.argv[1:]] or [1000, 2000]:
        main(size)
