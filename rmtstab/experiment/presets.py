"""How large a validation run is: networks, grids, horizons, replicas."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """Sizes of a validation run; everything but the seed that its numbers depend on.

    Attributes
    ----------
    snrs : tuple of float
        Signal-to-noise ratios, 0 included (pure memorisation).
    repeats : int
        Networks a ratio: data, initial weights and forget set all differ.
    n, n_forget, dim, filters : int
        Samples, forget samples (balanced between the classes), patch dimension,
        filters per sign.
    batch_sizes : tuple of (int, int)
        Retain and forget batch sizes of the maps; the first is the smallest.
    n_alphas : int
        Mixings of a map, α = 0 included.
    common_alphas : tuple of float
        Mixings of the map on one common scale.
    horizon : int
        Steps K of a map.
    radius : float
        A run escapes when ``‖w_k − w*‖ ≥ radius · ‖w_0 − w*‖`` for some k ≤ K.
    replicas, check_replicas : int
        Real runs a cell; real runs in the cells checked against Φᵏ.
    linear_replicas : int
        Linearised runs behind a typical frontier.
    displacement, natural_displacement : float
        Start displacement over ‖w*‖: in the linear regime, and of natural size.
    alpha : float
        Mixing at which resistance and escape time are compared across SNR.
    batch_size : (int, int)
        Batch sizes of that comparison.
    escape_horizon, escape_replicas : int
        Steps and replicas of that comparison.
    resamples : int
        Batches behind a one-step moment.
    digits_n, digits_filters, digits_repeats : int
        Images, filters per sign and networks for each forget set of digits.
    digits_batch_sizes : tuple of (int, int)
    long_checks : bool
        Whether claims whose check takes ten seconds or more are judged.
    mutations : bool
        Whether each theory claim is also judged of a wrong theory, and must fail.
    """

    name: str
    snrs: tuple[float, ...]
    repeats: int
    n_alphas: int
    common_alphas: tuple[float, ...]
    horizon: int
    replicas: int
    check_replicas: int
    linear_replicas: int
    escape_horizon: int
    escape_replicas: int
    digits_repeats: int
    n: int = 60
    n_forget: int = 12
    dim: int = 150
    filters: int = 8
    batch_sizes: tuple[tuple[int, int], ...] = ((4, 1), (8, 2), (16, 4), (32, 8), (48, 12))
    radius: float = 10.0
    displacement: float = 1e-7
    natural_displacement: float = 0.05
    alpha: float = 0.3
    batch_size: tuple[int, int] = (16, 4)
    resamples: int = 10_000
    digits_n: int = 120
    digits_filters: int = 16
    digits_batch_sizes: tuple[tuple[int, int], ...] = ((4, 2), (12, 4), (36, 6), (72, 8))
    long_checks: bool = True
    mutations: bool = True

    def describe(self) -> dict[str, Any]:
        """Return the sizes as JSON values."""
        return asdict(self)


QUICK = Preset(
    name="quick",
    snrs=(0.0, 0.3, 0.7, 2.0),
    repeats=3,
    n_alphas=6,
    common_alphas=(0.0, 0.02, 0.06, 0.15, 0.4, 0.8),
    horizon=100,
    replicas=16,
    check_replicas=64,
    linear_replicas=150,
    escape_horizon=4000,
    escape_replicas=8,
    digits_repeats=1,
)

FULL = Preset(
    name="full",
    snrs=(0.0, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0),
    repeats=5,
    n_alphas=11,
    common_alphas=(0.0, 0.01, 0.02, 0.04, 0.08, 0.15, 0.25, 0.4, 0.6, 0.8, 1.0),
    horizon=150,
    replicas=32,
    check_replicas=128,
    linear_replicas=1000,
    escape_horizon=8000,
    escape_replicas=16,
    digits_repeats=3,
)

# Too small for its claims to be worth anything: it exercises the machinery in tests.
TINY = Preset(
    name="tiny",
    snrs=(0.0, 1.0),
    repeats=1,
    n=24,
    n_forget=6,
    dim=60,
    filters=4,
    batch_sizes=((3, 1), (18, 6)),
    n_alphas=3,
    common_alphas=(0.0, 0.5),
    horizon=25,
    replicas=4,
    check_replicas=8,
    linear_replicas=20,
    escape_horizon=60,
    escape_replicas=3,
    batch_size=(6, 2),
    resamples=500,
    digits_repeats=1,
    digits_n=30,
    digits_filters=10,
    digits_batch_sizes=((4, 1), (8, 2)),
    long_checks=False,
    mutations=False,
)

PRESETS = {preset.name: preset for preset in (QUICK, FULL, TINY)}
