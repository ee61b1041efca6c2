"""Planes of settings that a validation run maps: their axes, and the cells on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rmtstab import _checks

Batches = tuple[int, int]
AXES = (("batch_size", "alpha"), ("snr", "alpha"), ("snr", "batch_size"))


@dataclass(frozen=True)
class Plane:
    """A plane of settings in which networks are unlearned, every network at every cell.

    Mixings run from 0 in equal steps, batch sizes over whole numbers as evenly spaced in the
    logarithm as there are, from the preset's smallest to the retain set.

    Attributes
    ----------
    name : str
    axes : (str, str)
        Horizontal and vertical: ("batch_size", "alpha"), a map for each ratio;
        ("snr", "alpha") at the smallest batch; ("snr", "batch_size") at one mixing.
    columns, rows : int
        Cells along either axis; columns over ``snr`` are those of ``snrs``.
    share : float
        Step size, in units of plain SGD's own threshold at the smallest batch.
    horizons : tuple of int
        Steps at which a run is judged, ascending; empty: the preset's. Runs take the last.
    snrs : tuple of float
        Along ``snr``, the ratios of the networks; else those of the preset's ratios that are
        mapped, empty: all.
    alpha : float
        Mixing where it is no axis.
    reach : float
        Mixings run from 0 to this times the mean's frontier within the preset's horizon:
        less where a longer horizon lowers the frontier.
    digits : bool
        Whether the networks on digits are mapped too.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or outside its range.

    Examples
    --------
    >>> from rmtstab.experiment import Plane
    >>> plane = Plane("near", columns=4, rows=3, share=0.95)
    >>> plane.batch_sizes(4, 48, 12)
    ((4, 1), (9, 2), (21, 5), (48, 12))
    >>> plane.alphas(0.25)
    (0.0, 0.175, 0.35)
    """

    name: str
    axes: tuple[str, str] = AXES[0]
    columns: int = 12
    rows: int = 16
    share: float = 0.5
    horizons: tuple[int, ...] = ()
    snrs: tuple[float, ...] = ()
    alpha: float = 0.25
    reach: float = 1.4
    digits: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise TypeError(f"name must be a word, got {self.name!r}")
        axes = tuple(map(str, _checks.items("axes", self.axes, 2)))
        if axes not in AXES:
            raise ValueError(f"axes must be one of {AXES}, got {self.axes!r}")
        _checks.keep(
            self,
            axes=axes,
            columns=_checks.integer("columns", self.columns, low=2),
            rows=_checks.integer("rows", self.rows, low=2),
            digits=_checks.flag("digits", self.digits),
            share=_checks.real(
                "share", self.share, low=0.0, high=1.0, low_open=True, high_open=True
            ),
            alpha=_checks.real("alpha", self.alpha, low=0.0, high=1.0),
            reach=_checks.real("reach", self.reach, low=0.0, low_open=True, high=1e3),
        )
        steps = _checks.integers("horizons", self.horizons, low=10)
        if list(steps) != sorted(set(steps)):
            raise ValueError(f"horizons must ascend, got {tuple(self.horizons)}")
        object.__setattr__(self, "horizons", steps)
        ratios = tuple(_checks.real("snrs", s, low=0.0) for s in _checks.items("snrs", self.snrs))
        if self.axes[0] == "snr" and len(ratios) != self.columns:
            raise ValueError(f"snrs must hold columns={self.columns} ratios, got {len(ratios)}")
        if self.axes[0] == "snr" and min(ratios) == 0.0:
            raise ValueError(f"snrs must be > 0 along a logarithmic axis, got {ratios}")
        object.__setattr__(self, "snrs", ratios)

    def batch_sizes(self, smallest: int, n_retain: int, n_forget: int) -> tuple[Batches, ...]:
        """Batch sizes of the axis, the forget batch the same share of its set.

        Parameters
        ----------
        smallest : int
            Retain batch of the first.
        n_retain, n_forget : int

        Returns
        -------
        tuple of (int, int)
            Fewer than asked where there are not as many whole numbers.
        """
        n_retain = _checks.integer("n_retain", n_retain, low=1)
        n_forget = _checks.integer("n_forget", n_forget, low=1)
        smallest = _checks.integer(
            "smallest", smallest, low=1, high=n_retain, high_label="n_retain"
        )
        count = self.columns if self.axes[0] == "batch_size" else self.rows
        count = min(count, n_retain - smallest + 1)
        spaced = np.rint(np.geomspace(smallest, n_retain, count)).astype(int)
        for k in range(1, count):  # whole numbers that differ
            spaced[k] = min(max(spaced[k], spaced[k - 1] + 1), n_retain - (count - 1 - k))
        return tuple((int(b), max(1, round(n_forget * int(b) / n_retain))) for b in spaced)

    def alphas(self, frontier: float) -> tuple[float, ...]:
        """Mixings of the axis.

        Parameters
        ----------
        frontier : float
            Mixing at which the mean escapes within the preset's horizon.

        Returns
        -------
        tuple of float
        """
        top = self.reach * _checks.real("frontier", frontier, low=0.0)
        top = min(1.0, round(top, 2 if top >= 0.05 else 3))
        return tuple(round(float(a), 6) for a in np.linspace(0.0, top, self.rows))


def read_planes(planes: Any) -> tuple[Plane, ...]:
    """Planes as a preset holds them: also from their descriptions."""
    if not isinstance(planes, tuple | list):
        raise TypeError(f"planes must be a tuple of Plane, got {planes!r}")
    found = tuple(Plane(**p) if isinstance(p, dict) else p for p in planes)
    wrong = [p for p in found if not isinstance(p, Plane)]
    if wrong:
        raise TypeError(f"planes must be a tuple of Plane, got {wrong[0]!r}")
    names = [p.name for p in found]
    if len(set(names)) < len(names):
        raise ValueError(f"planes must have names of their own, got {names}")
    return found


def frontier_key(share: float) -> str:
    """Key of a network's mean frontiers by the share of its threshold."""
    return f"{share:g}"


def shares(planes: Sequence[Plane]) -> tuple[float, ...]:
    """Step sizes in use, in units of the threshold."""
    return tuple(sorted({plane.share for plane in planes}))
