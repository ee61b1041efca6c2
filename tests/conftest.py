"""One BLAS thread, Hypothesis profiles, shared fixtures; in CI no test may be skipped."""

import os
import sys

# before NumPy loads, and for xdist's workers: many small products contend for the cores otherwise
for library in ("OPENBLAS", "OMP", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
if "numpy" in sys.modules:  # another package's pytest plugin came first
    from threadpoolctl import threadpool_limits

    threadpool_limits(int(os.environ["OPENBLAS_NUM_THREADS"]))

import pytest
from hypothesis import HealthCheck, settings

COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("dev", max_examples=25, **COMMON)
settings.register_profile("ci", max_examples=50, derandomize=True, **COMMON)
settings.register_profile("few", max_examples=2, derandomize=True, **COMMON)  # uncompiled kernels
settings.register_profile("nightly", max_examples=1000, **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture
def rng():
    import numpy as np

    return np.random.default_rng(20260202)


# With RMTSTAB_NO_SKIP set, as in CI, a test whose library or browser is missing fails instead of
# being skipped: only what needs a GPU, or the right to mount, may be. Elsewhere a missing browser
# costs those tests alone.
NO_SKIP = bool(os.environ.get("RMTSTAB_NO_SKIP"))
MAY_BE_SKIPPED = ("GPU", "CUDA", "mount")


def no_skip(report):
    """Turn a skip that is not allowed into a failure."""
    if NO_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        place = report.longrepr
        reason = str(place[2] if isinstance(place, tuple) else place)
        if not any(word in reason for word in MAY_BE_SKIPPED):
            report.outcome, report.longrepr = "failed", f"RMTSTAB_NO_SKIP is set. {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    return no_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return no_skip((yield))
