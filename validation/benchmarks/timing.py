"""Median times in one process, for ratios: the only numbers that benchmarks report."""

import statistics
import time


def median_seconds(call, repeats=7):
    """Median wall time of ``call()``, after one warm-up that pays for compilation."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
