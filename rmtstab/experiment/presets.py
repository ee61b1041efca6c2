"""How large a validation run is: networks, grids, horizons, replicas."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from rmtstab import _checks
from rmtstab.experiment.planes import Plane, read_planes

Batches = tuple[int, int]
SHARES = (1 / 12, 1 / 6, 1 / 3, 2 / 3, 1.0)  # of the sets, in the batches compared

LEAST = {
    "repeats": 1, "n": 4, "horizon": 10, "replicas": 1, "check_replicas": 2, "data_sets": 2,
    "linear_replicas": 2, "map_replicas": 1, "map_linear_replicas": 4, "escape_horizon": 1,
    "escape_replicas": 2, "digits_repeats": 1, "dim": 2, "filters": 1,
    "resamples": 2, "digits_n": 20, "digits_filters": 1, "natural_networks": 2,
    "natural_alphas": 2, "natural_steps": 1, "natural_replicas": 1, "axis_sets": 2,
}  # fmt: skip
POSITIVE = (("radius", 1.0, 1e100), ("displacement", 0.0, 1.0), ("alpha", 0.0, 1.0),
            ("natural_loss", 0.0, 0.6))  # fmt: skip


@dataclass(frozen=True)
class Preset:
    """Sizes of a validation run; everything but the seed that its numbers depend on.

    A value: `rmtstab.experiment.validate` runs what it says, whatever its name.

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
        Retain and forget batch sizes of all but the maps; the first, the smallest, is the
        maps' too. Empty: from a twelfth of the sets to the whole.
    planes : tuple of Plane
        What the maps show.
    horizon : int
        Steps K, unless a plane has its own.
    radius : float
        A run escapes when ``‖w_k − w*‖ ≥ radius · ‖w_0 − w*‖`` for some k ≤ K.
    map_replicas, map_linear_replicas : int
        Real and linearised runs of one network at one cell of a map.
    replicas, check_replicas : int
        Real runs in the check of plain SGD's collapse; in the cells checked against Φᵏ.
    linear_replicas : int
        Linearised runs beside the latter.
    displacement : float
        Start displacement over ‖w*‖.
    natural_displacements : tuple of float
        Start displacements of the maps at natural size, over ‖w*‖; 0 is w* itself.
    natural_networks, natural_alphas, natural_steps, natural_replicas : int
        Networks a loss, mixings, horizon and runs a cell of these maps.
    natural_batch_sizes : tuple of (int, int)
        Empty: a twelfth of the sets, a third, and the whole.
    natural_snr, natural_loss : float
        Ratio of the data; training loss of the networks under the logistic loss.
    natural_others : bool
        Whether digits, photographs, textures and a ResNet-8 are mapped at natural size too.
    axis_snrs : tuple of float
        Ratios of the data axis.
    axis_sets : int
        Data sets of the data axis, its blocks.
    axis_all : bool
        Whether the data axis also varies sizes, label noise and the classes' shares.
    alpha : float
        Mixing at which resistance and escape time are compared across SNR.
    batch_size : (int, int)
        Batch sizes of that comparison; (0, 0): a third of the sets.
    escape_snrs : tuple of float
        Ratios of that comparison; empty: ``snrs``.
    data_sets : int
        Data sets of that comparison, the blocks of its trend tests: each trains a network
        a ratio, with the same noise and labels.
    escape_horizon, escape_replicas : int
        Its longest run, and its real runs a network.
    resamples : int
        Batches behind a one-step moment.
    digits_n, digits_filters, digits_repeats : int
        Images, filters per sign and networks for each forget set of digits.
    digits_batch_sizes : tuple of (int, int)
    long_checks : bool
        Whether claims whose check takes ten seconds or more are judged.
    mutations : bool
        Whether each theory claim is also judged of a wrong theory, and must fail.

    Raises
    ------
    TypeError, ValueError
        If a size is of the wrong kind, or sizes do not fit each other.

    Examples
    --------
    >>> from rmtstab.experiment import Preset
    >>> small = Preset("mine", snrs=(0.0, 1.0), n=120, n_forget=24)
    >>> small.batch_sizes
    ((8, 2), (16, 4), (32, 8), (64, 16), (96, 24))
    """

    name: str
    snrs: tuple[float, ...] = (0.0, 0.3, 0.7, 2.0)
    repeats: int = 3
    planes: tuple[Plane, ...] = (Plane("half", digits=True), Plane("near", share=0.95))
    map_replicas: int = 4
    map_linear_replicas: int = 120
    horizon: int = 100
    replicas: int = 16
    check_replicas: int = 256
    linear_replicas: int = 150
    escape_snrs: tuple[float, ...] = ()
    data_sets: int = 8
    escape_horizon: int = 8000
    escape_replicas: int = 4
    digits_repeats: int = 1
    n: int = 60
    n_forget: int = 12
    dim: int = 150
    filters: int = 8
    batch_sizes: tuple[Batches, ...] = ()
    radius: float = 10.0
    displacement: float = 1e-7
    natural_displacements: tuple[float, ...] = (0.0, 0.01, 0.05, 0.2)
    natural_networks: int = 3
    natural_alphas: int = 6
    natural_steps: int = 60
    natural_replicas: int = 2
    natural_batch_sizes: tuple[Batches, ...] = ()
    natural_snr: float = 1.0
    natural_loss: float = 0.05
    natural_others: bool = False
    axis_snrs: tuple[float, ...] = (0.0, 0.3, 1.0, 2.0, 4.0)
    axis_sets: int = 8
    axis_all: bool = False
    alpha: float = 0.3
    batch_size: Batches = (0, 0)
    resamples: int = 40_000
    digits_n: int = 120
    digits_filters: int = 16
    digits_batch_sizes: tuple[Batches, ...] = ((4, 2), (12, 4), (36, 6), (72, 8))
    long_checks: bool = True
    mutations: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise TypeError(f"name must be a word, got {self.name!r}")
        for field in ("natural_others", "axis_all", "long_checks", "mutations"):
            object.__setattr__(self, field, _checks.flag(field, getattr(self, field)))
        for field, least in LEAST.items():
            _checks.keep(self, **{field: _checks.integer(field, getattr(self, field), low=least)})
        most = self.n - 2
        n_forget = _checks.integer("n_forget", self.n_forget, low=2, high=most, high_label="n - 2")
        _checks.keep(self, n_forget=n_forget)
        for field, low, high in POSITIVE:
            value = _checks.real(field, getattr(self, field), low=low, high=high, low_open=True)
            _checks.keep(self, **{field: value})
        for field, high in (
            ("snrs", 1e100),
            ("escape_snrs", 1e100),
            ("axis_snrs", 1e100),
            ("natural_displacements", 1.0),
        ):
            values = _checks.items(field, getattr(self, field))
            if not (values or field == "escape_snrs"):
                raise ValueError(f"{field} must hold a number, got none")
            given = tuple(_checks.real(field, v, low=0.0, high=high) for v in values)
            if len(set(given)) < len(given):
                raise ValueError(f"{field} must differ from each other, got {given}")
            object.__setattr__(self, field, given)
        object.__setattr__(self, "planes", read_planes(self.planes))
        sizes = self.n - self.n_forget, self.n_forget
        for field, shares in (("batch_sizes", SHARES), ("natural_batch_sizes", (1 / 12, 1 / 3, 1))):
            given_pairs = _checks.each(field, getattr(self, field))
            pairs = given_pairs or tuple(_share(sizes, share) for share in shares)
            object.__setattr__(self, field, tuple(_batches(field, pair, sizes) for pair in pairs))
        one = _batches("batch_size", self.batch_size, sizes, (0, 0))
        object.__setattr__(self, "batch_size", _share(sizes, 1 / 3) if one == (0, 0) else one)

    @property
    def compared_snrs(self) -> tuple[float, ...]:
        """Ratios at which resistance and escape time are compared."""
        return self.escape_snrs or self.snrs

    def describe(self) -> dict[str, Any]:
        """Return the sizes as JSON values."""
        return asdict(self)


def _share(sizes: Batches, share: float) -> Batches:
    """Batches of a share of both sets, at least one sample each."""
    retain, forget = (max(1, round(n * share)) for n in sizes)
    return retain, forget


def _batches(name: str, value: Any, sizes: Batches, other: Batches | None = None) -> Batches:
    """A pair of batch sizes that fits the sets, or one other pair; else raise."""
    listed = isinstance(value, tuple | list) or getattr(value, "ndim", 0) == 1
    if not listed or len(value) != 2:
        raise TypeError(f"{name} must hold pairs (retain, forget), got {value!r:.200}")
    if other is not None and tuple(value) == other:
        return other
    retain, forget = (
        _checks.integer(name, b, low=1, high=n, high_label=label)
        for b, n, label in zip(
            _checks.items(name, value, 2), sizes, ("n - n_forget", "n_forget"), strict=True
        )
    )
    return retain, forget


QUICK = Preset("quick", escape_snrs=(0.0, 0.3, 0.7, 1.3, 2.0))

MAPPED = (0.0, 0.1, 0.3, 0.5, 1.0, 2.0)  # ratios of the full maps
AXIS = tuple(round(0.05 * 60.0 ** (k / 23), 3) for k in range(24))  # 0.05 … 3
SQUARE = Plane("square", columns=24, rows=24)

FULL = Preset(
    "full",
    snrs=(0.0, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0),
    repeats=5,
    planes=(
        replace(SQUARE, name="half", snrs=MAPPED, digits=True),
        replace(SQUARE, name="closer", share=0.8, snrs=MAPPED),
        replace(SQUARE, name="near", share=0.95, snrs=MAPPED),
        # "half" at this ratio and longer horizons: the frontiers fall as the inverse horizon
        replace(SQUARE, name="300-steps", horizons=(300,), snrs=(0.3,), reach=0.6),
        replace(SQUARE, name="1000-steps", horizons=(1000,), snrs=(0.3,), reach=0.2),
        replace(SQUARE, name="snr-alpha", axes=("snr", "alpha"), snrs=AXIS),
        replace(SQUARE, name="snr-batch", axes=("snr", "batch_size"), snrs=AXIS),
    ),
    map_linear_replicas=160,
    horizon=100,
    linear_replicas=1000,
    escape_snrs=(0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 4.0),
    data_sets=12,
    natural_displacements=(0.0, 0.01, 0.02, 0.05, 0.1, 0.2),
    natural_networks=5,
    natural_alphas=8,
    natural_steps=150,
    natural_replicas=4,
    natural_batch_sizes=((4, 1), (8, 2), (12, 3), (16, 4), (32, 8), (48, 12)),
    axis_snrs=(0.0, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 4.0),
    axis_sets=12,
    axis_all=True,
    natural_others=True,
    escape_horizon=30_000,
    escape_replicas=8,
    digits_repeats=3,
)

# Too small for its claims to be worth anything: it exercises the machinery in tests.
TINY = Preset(
    "tiny",
    snrs=(0.0, 1.0),
    repeats=1,
    n=24,
    n_forget=6,
    dim=60,
    filters=4,
    batch_sizes=((3, 1), (18, 6)),
    planes=(
        Plane("half", columns=3, rows=4, digits=True),
        Plane("snr-batch", axes=("snr", "batch_size"), columns=2, rows=2, snrs=(0.5, 1.0)),
    ),
    map_replicas=2,
    map_linear_replicas=20,
    horizon=20,
    replicas=4,
    check_replicas=8,
    linear_replicas=20,
    data_sets=2,
    natural_displacements=(0.01, 0.2),
    natural_networks=2,
    natural_alphas=2,
    natural_steps=8,
    natural_replicas=1,
    axis_snrs=(0.0, 1.0),
    axis_sets=2,
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
