"""Kernels run where their cache cannot be written, and say so once."""

import errno
import os
import subprocess
import sys
import warnings

import pytest

from rmtstab.kernels import _jit


def test_without_any_place_for_the_cache(tmp_path):
    script = (
        "import warnings\n"
        "with warnings.catch_warnings(record=True) as seen:\n"
        "    warnings.simplefilter('always')\n"
        "    import numpy as np\n"
        "    from rmtstab.kernels.symmetric import pack\n"
        "    from rmtstab.kernels.coherence import block_norms\n"
        "    out = np.empty(1)\n"
        "    pack(np.ones((1, 1)), out)\n"
        "print(out[0], sum('compiled anew' in str(w.message) for w in seen))\n"
    )
    blocked = tmp_path / "file"
    blocked.write_text("")
    environment = os.environ | {
        "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator",
        "NUMBA_CACHE_DIR": str(blocked / "below"),
    }
    environment.pop("NUMBA_DISABLE_JIT", None)
    run = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["1.0", "1"]


class Full:
    """A cache on a full disk."""

    def load_overload(self, *arguments):
        raise OSError(errno.EIO, "input/output error")

    def save_overload(self, *arguments):
        raise OSError(errno.ENOSPC, "no space left on device")


def test_a_full_disk_costs_time_and_one_warning(monkeypatch):
    monkeypatch.setattr(_jit, "_warned", False)
    cache = _jit._ForgivingCache(Full())
    with pytest.warns(UserWarning, match="compiled anew in each process"):
        assert cache.load_overload("signature", None) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.save_overload("signature", None)
