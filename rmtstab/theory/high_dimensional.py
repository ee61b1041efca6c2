"""Former name of `rmtstab.theory.volterra`; it goes with the next release."""

from __future__ import annotations

import warnings
from typing import Any

from rmtstab.theory import volterra


def __getattr__(name: str) -> Any:
    if name not in ("noise_scale", "volterra_step_size"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"rmtstab.theory.high_dimensional.{name} is now rmtstab.theory.volterra.{name}",
        DeprecationWarning,
        stacklevel=2,
    )
    return getattr(volterra, name)
