"""The validation run from Python: evidence gathered, claims judged, a report on demand."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab.claims import CLAIMS, Claim
from rmtstab.experiment import run
from rmtstab.experiment.presets import PRESETS, Preset
from rmtstab.experiment.provenance import take_folder
from rmtstab.sweeps import versions, worker_pool

Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class Validation(Record):
    """A finished validation run.

    Attributes
    ----------
    folder : Path
        Where its cells are, and its report once written.
    results : dict
        Evidence, judged claims, notes and versions: JSON values.
    seconds : float
        Wall time of the run; cells taken up from disk cost none.
    """

    folder: Path
    results: dict[str, Any] = field(repr=False)
    seconds: float

    @property
    def claims(self) -> list[dict[str, Any]]:
        """The judged claims."""
        found: list[dict[str, Any]] = self.results["claims"]
        return found

    @property
    def failed(self) -> list[str]:
        """Names of the claims that do not hold."""
        return [claim["name"] for claim in self.claims if claim["holds"] is False]

    def report(self, folder: Any = None) -> Path:
        """Write results.json, figures and index.html.

        Parameters
        ----------
        folder : path-like, optional
            Default: the run's own.

        Returns
        -------
        Path
            Of index.html.
        """
        place = self.folder if folder is None else Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        # the report is above this file: reached by its name alone
        importlib.import_module("rmtstab.report.origin").write_origin(place)
        importlib.import_module("rmtstab.report").write(place, self.results)
        return place / "index.html"


def validate(
    preset: Preset | str = "quick",
    *,
    seed: int = 0,
    out: Any = None,
    claims: Sequence[Claim | str] | None = None,
    device: str = "cpu",
    workers: int | None = None,
    progress: Progress = lambda stage, size: None,
) -> Validation:
    """Train networks, gather the evidence that claims need, and judge them.

    Parameters
    ----------
    preset : Preset or str
        Sizes of the run, or the name of one of `PRESETS`. A value runs what it says.
    seed : int
    out : path-like, optional
        Folder of the run; an interrupted one of the same preset, seed and code is resumed.
        Default ``reports/NAME-SEED``.
    claims : sequence of Claim or str, optional
        Which to judge: your own, and those of `rmtstab.claims.CLAIMS` by name. Default: all
        of these. A theory claim's check must be a function of a module, as worker processes
        import it.
    device : str
        Where networks run.
    workers : int, optional
        Processes; default one a core.
    progress : callable, optional
        ``progress(stage, size)`` announces a stage of ``size`` cells, ``progress("", 1)``
        reports one done.

    Returns
    -------
    Validation

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, a claim or preset is unknown, or the folder
        holds anything else.
    OSError
        If the folder cannot be written.

    Examples
    --------
    >>> import rmtstab as rs
    >>> run = rs.experiment.validate(
    ...     rs.experiment.Preset("mine", filters=4), claims=["second-moment-operator"],
    ...     out=getfixture("tmp_path") / "mine", workers=1,
    ... )
    >>> [claim["holds"] for claim in run.claims]
    [True]
    """
    chosen = read_preset(preset)
    judged = tuple(_claim(c) for c in claims) if claims is not None else CLAIMS
    if claims is None and not chosen.long_checks:
        judged = tuple(claim for claim in judged if not claim.long)
    names = [claim.name for claim in judged]
    if len(set(names)) < len(names):
        raise ValueError(f"claims must have names of their own, got {names}")
    seed = _checks.integer("seed", seed, low=0)
    count = os.cpu_count() or 1
    count = count if workers is None else _checks.integer("workers", workers, low=1)
    folder = Path("reports") / f"{chosen.name}-{seed}" if out is None else Path(out)
    take_folder(folder, chosen, seed, device)
    started = time.monotonic()
    with worker_pool(count) as pool:
        evidence = run.collect(
            chosen, seed, folder / "cells", pool, device=device, progress=progress, claims=judged
        )
    notes, skipped = [], sum(claim.needs_torch for claim in judged)
    if not run.has_torch() and skipped:
        notes.append(
            f"{skipped} claims about trained networks did not run: torch is not installed "
            "(pip install 'rmtstab[torch,data]')"
        )
    elif skipped and not run.has_digits():
        notes.append("digits did not run: scikit-learn is not installed (rmtstab[data])")
    records = [
        claim.record(evidence) for claim in judged if run.has_torch() or not claim.needs_torch
    ]
    results = {**evidence, "claims": records, "notes": notes, "versions": versions()}
    return Validation(folder, results, time.monotonic() - started)


def read_preset(preset: Preset | str) -> Preset:
    """Preset of a value or a name, or raise.

    Parameters
    ----------
    preset : Preset or str

    Returns
    -------
    Preset

    Raises
    ------
    TypeError, ValueError
        If it is neither.
    """
    if isinstance(preset, Preset):
        return preset
    if not isinstance(preset, str):
        raise TypeError(f"preset must be a Preset or a name, got {preset!r}")
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    return PRESETS[preset]


def _claim(claim: Claim | str) -> Claim:
    if isinstance(claim, Claim):
        return claim
    known = {c.name: c for c in CLAIMS}
    if claim not in known:
        raise ValueError(f"claims must be Claim values or names of rmtstab.claims, got {claim!r}")
    return known[claim]
