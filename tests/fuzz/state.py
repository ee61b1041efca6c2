"""State of the whole process that no call may leave changed."""

import decimal
import locale
import os
import random
import resource
import signal
import sys
import threading
import warnings

import matplotlib as mpl
import mpmath
import numpy as np
from threadpoolctl import threadpool_info

LIMITS = "RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_STACK"
SIGNALS = "SIGALRM", "SIGINT", "SIGPROF", "SIGTERM", "SIGUSR1", "SIGVTALRM"
TIMERS = signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF


def state():
    """What is process-wide, by name: comparable values."""
    python = random.getstate()
    found = {
        "cwd": os.getcwd(),
        "environment": dict(os.environ),
        "locale": locale.setlocale(locale.LC_ALL),
        "recursion limit": sys.getrecursionlimit(),
        "digits of integers": sys.get_int_max_str_digits(),
        "streams": (sys.stdout, sys.stderr, sys.stdin),
        "hooks": (sys.excepthook, threading.excepthook, sys.getprofile(), sys.gettrace()),
        "warnings": list(warnings.filters),
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in LIMITS},
        "signals": {name: signal.getsignal(getattr(signal, name)) for name in SIGNALS},
        "timers": [signal.getitimer(timer) for timer in TIMERS],
        "mask": signal.pthread_sigmask(signal.SIG_BLOCK, []),
        "python's generator": python,
        "decimal": repr(decimal.getcontext()),
        "mpmath": (mpmath.mp.prec, mpmath.iv.prec),
        "NumPy's errors": np.geterr(),
        "NumPy's printing": np.get_printoptions(),
        "NumPy's generator": repr(np.random.get_state()),  # noqa: NPY002
        "subnormal numbers": (np.float64(5e-324) * np.ones(1)).tobytes(),
        "matplotlib": (mpl.get_backend(), dict(mpl.rcParams)),
        "BLAS threads": sorted((x["filepath"], x["num_threads"]) for x in threadpool_info()),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        found |= {
            "torch's dtype": torch.get_default_dtype(),
            "torch's device": torch.get_default_device(),
            "torch's threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
            "torch's generator": torch.get_rng_state().numpy().tobytes(),
            "torch's gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
            "torch's algorithms": (
                torch.are_deterministic_algorithms_enabled(),
                torch.get_float32_matmul_precision(),
                torch.is_anomaly_enabled(),
            ),
        }
    return found


def changes(before, after):
    """Names of what differs; what was loaded meanwhile had no state before."""
    found = []
    for name in before:
        first, second = before[name], after[name]
        if name == "BLAS threads":  # libraries that were there already
            second = [x for x in second if x[0] in {path for path, _ in first}]
        if first != second:
            found.append(name)
    return found
