"""How the maps of a run are read: its cells as columns of numbers, and its panels as grids."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.claims.claim import Evidence
from rmtstab.claims.networks.records import network_key

Record = dict[str, Any]
PREDICTED = (
    "peak", "peak_error", "probability", "probability_wrong", "forgets", "forgets_wrong",
    "mean", "spread", "mean_square", "mean_square_peak",
)  # fmt: skip
OBSERVED = ("escaped", "forgot", "both", "mean", "median")
UNDECIDED = 2.0  # standard errors of a predicted peak, within which the cell's class is open
OFF = 1e-4  # probability, by the prediction, of what was seen, below which a cell is off


@dataclass(frozen=True)
class Cells:
    """Cells of maps, one entry each: a network, a setting, a horizon.

    Attributes
    ----------
    values : dict of str to ndarray, shape (cells,)
        `PREDICTED` by their names, `OBSERVED` with ``seen_`` before them, and ``alpha``,
        ``batch``, ``horizon``, ``step_size``, ``snr``.
    network, column : ndarray, shape (cells,), int64
        Which network, and which column of common draws.
    runs : int
        Real runs a cell.
    level : float
        Log displacement at which a run has escaped.
    """

    values: dict[str, FloatArray]
    network: Any
    column: Any
    runs: int
    level: float

    def __len__(self) -> int:
        return len(self.network)

    def __getitem__(self, name: str) -> FloatArray:
        return self.values[name]

    def where(self, chosen: Any) -> Cells:
        """Keep some of the cells.

        Parameters
        ----------
        chosen : ndarray, shape (cells,), bool
        """
        kept = {name: values[chosen] for name, values in self.values.items()}
        return Cells(kept, self.network[chosen], self.column[chosen], self.runs, self.level)

    @property
    def share(self) -> FloatArray:
        """Share of real runs that escaped."""
        return self["seen_escaped"] / self.runs

    @property
    def undecided(self) -> Any:
        """Cells whose predicted class is within the prediction's own error."""
        gap = np.abs(self["peak"] - self.level)
        return gap <= UNDECIDED * self["peak_error"]

    @property
    def zone(self) -> Any:
        """Cells between the frontiers: the mean square escapes, the typical run does not."""
        return (self["mean_square_peak"] >= self.level) & (self["peak"] < self.level)


def read(evidence: Evidence, data: str | None = None, planes: Iterable[str] | None = None) -> Cells:
    """Cells of a run's maps with α > 0.

    Parameters
    ----------
    evidence : mapping
        With the stage "maps".
    data : str, optional
        Only networks on these data.
    planes : iterable of str, optional
        Only these planes.

    Returns
    -------
    Cells
    """
    chosen = None if planes is None else set(planes)
    values: dict[str, list[Any]] = {}
    networks: dict[Any, int] = {}
    owner, columns = [], []
    for number, line in enumerate(evidence["maps"]):
        if data not in (None, line["data"]) or (chosen is not None and line["plane"] not in chosen):
            continue
        who = networks.setdefault(network_key(line), len(networks))
        alphas = np.array(line["alphas"])
        for k, horizon in enumerate(line["horizons"]):
            fixed = {
                "alpha": alphas,
                "batch": line["batch_size"][0],
                "horizon": horizon,
                "step_size": line["step_size"],
                "snr": math.nan if line["snr"] is None else line["snr"],
            }
            found = {name: line["predicted"][name][k] for name in PREDICTED}
            found |= {f"seen_{name}": line["observed"][name][k] for name in OBSERVED}
            for name, value in (fixed | found).items():
                spread = np.broadcast_to(np.asarray(value, dtype=float), alphas.shape)
                values.setdefault(name, []).append(spread[alphas > 0.0])
            count = int((alphas > 0.0).sum())
            owner.append(np.full(count, who))
            columns.append(np.full(count, number))
    if not owner:
        empty = np.zeros(0, dtype=int)
        return Cells({}, empty, empty, 1, 0.0)
    preset = evidence["preset"]
    return Cells(
        {name: np.concatenate(parts) for name, parts in values.items()},
        np.concatenate(owner),
        np.concatenate(columns),
        preset["map_replicas"],
        math.log(preset["radius"]),
    )


@dataclass(frozen=True)
class Panel:
    """One map: every network of a ratio (or of the plane) at every cell.

    Attributes
    ----------
    axes : (str, str)
    x, y : ndarray
        Values along the axes.
    share, displacement : ndarray, shape (y, x), float64
        Share of runs that escaped; median over networks of the median log displacement.
    probability : ndarray, shape (y, x), float64
        Predicted share.
    kind : ndarray of str, shape (y, x)
        "resisted", "forgot", "escaped and forgot" or "escaped", by the majority of runs.
    undecided, off : ndarray, shape (y, x), bool
        Whether the networks' predicted classes differ or are within the prediction's error;
        whether the share seen is one of the `OFF` least likely under the prediction.
    peaks, mean_square_peaks : ndarray, shape (networks, y, x), float64
        Predicted log peaks; NaN where a network is not of the column.
    level : float
        Log displacement of the frontiers.
    networks, runs : int
        Networks of a column, and runs of a cell.
    """

    axes: tuple[str, str]
    x: FloatArray
    y: FloatArray
    share: FloatArray
    displacement: FloatArray
    probability: FloatArray
    kind: Any
    undecided: Any
    off: Any
    peaks: FloatArray
    mean_square_peaks: FloatArray
    level: float
    networks: int
    runs: int


def panel(evidence: Evidence, lines: list[Record], horizon: int) -> Panel:
    """Lay the lines of one map out as a grid.

    Parameters
    ----------
    evidence : mapping
    lines : list of dict
        Of ``evidence["maps"]``: one plane, and one ratio or forget set where the ratio is no
        axis.
    horizon : int

    Returns
    -------
    Panel
    """
    preset = evidence["preset"]
    (plane,) = (p for p in preset["planes"] if p["name"] == lines[0]["plane"])
    axes = plane["axes"][0], plane["axes"][1]
    points: dict[tuple[float, float], list[tuple[int, Record, int, int]]] = {}
    for line in lines:
        k = list(line["horizons"]).index(horizon)
        for place, alpha in enumerate(line["alphas"]):
            at = {"alpha": alpha, "batch_size": line["batch_size"][0], "snr": line["snr"]}
            points.setdefault((at[axes[0]], at[axes[1]]), []).append(
                (line["index"], line, k, place)
            )
    x, y = (np.array(sorted({p[i] for p in points})) for i in (0, 1))
    shape = len(y), len(x)
    count = 1 + max(line["index"] for line in lines)
    runs, level = preset["map_replicas"], math.log(preset["radius"])
    grids = {n: np.full(shape, np.nan) for n in ("share", "displacement", "probability")}
    kind = np.full(shape, "", dtype=object)
    marks = np.zeros((2, *shape), dtype=bool)
    peaks = np.full((2, count, *shape), np.nan)
    for (a, b), found in points.items():
        i, j = int(np.searchsorted(y, b)), int(np.searchsorted(x, a))

        def of(part: str, name: str, found: Any = found) -> FloatArray:
            values = np.array([line[part][name][k][c] for _, line, k, c in found], dtype=float)
            if values.ndim != 1:
                raise ValueError(f"maps must hold one number a cell in {name}, got {values.shape}")
            return values

        escaped, forgot = of("observed", "escaped").sum(), of("observed", "forgot").sum()
        total, chance = runs * len(found), of("predicted", "probability")
        grids["share"][i, j], grids["probability"][i, j] = escaped / total, chance.mean()
        grids["displacement"][i, j] = np.median(of("observed", "median"))
        kind[i, j] = _kind(2 * escaped > total, 2 * forgot > total)
        for (who, *_), one, two in zip(
            found, of("predicted", "peak"), of("predicted", "mean_square_peak"), strict=True
        ):
            peaks[0, who, i, j], peaks[1, who, i, j] = one, two
        gap, error = of("predicted", "peak") - level, UNDECIDED * of("predicted", "peak_error")
        marks[0, i, j] = not ((gap > error).all() or (gap < -error).all())
        marks[1, i, j] = _tail(escaped, total, chance, preset["map_linear_replicas"]) < OFF
    return Panel(
        axes, x, y, grids["share"], grids["displacement"], grids["probability"], kind, marks[0],
        marks[1], peaks[0], peaks[1], level, len({line["index"] for line in lines}),
        runs * max(len(found) for found in points.values()),
    )  # fmt: skip


def _kind(escaped: bool, forgot: bool) -> str:
    """Class of a cell."""
    if escaped:
        return "escaped and forgot" if forgot else "escaped"
    return "forgot" if forgot else "resisted"


def _tail(seen: float, total: int, chance: FloatArray, replicas: int) -> float:
    """Two-sided chance of as many escapes, the probability known from so many linearised runs."""
    from scipy.stats import betabinom

    hits = replicas * chance.sum() + 0.5
    law = betabinom(total, hits, replicas * (1.0 - chance).sum() + 0.5)
    return float(min(1.0, 2.0 * min(law.cdf(seen), law.sf(seen - 1))))


def frontier(peaks: FloatArray, y: FloatArray, level: float) -> FloatArray:
    """First height at which each column's peak reaches a level, linear between cells.

    Parameters
    ----------
    peaks : ndarray, shape (y, x)
    y : ndarray, shape (y,)
    level : float

    Returns
    -------
    ndarray, shape (x,), float64
        NaN where no cell of the column reaches it.
    """
    found = np.full(peaks.shape[1], np.nan)
    for j, heights in enumerate(peaks.T):
        above = np.flatnonzero(heights >= level)
        if not above.size:
            continue
        k = above[0]
        if k == 0:
            found[j] = y[0]
        else:
            part = (level - heights[k - 1]) / (heights[k] - heights[k - 1])
            found[j] = y[k - 1] + part * (y[k] - y[k - 1])
    return found
