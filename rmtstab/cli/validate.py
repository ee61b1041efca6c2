"""``rmtstab validate``: check the theorems on trained networks, write a report."""

from __future__ import annotations

import difflib
import os
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rmtstab.cli import exits
from rmtstab.cli.progress import progress
from rmtstab.experiment.presets import PRESETS, Preset
from rmtstab.experiment.provenance import take_folder
from rmtstab.sweeps import versions

if TYPE_CHECKING:
    from rmtstab.claims import Claim


@click.command()
@click.option(
    "--preset",
    default="quick",
    show_default=True,
    help="quick: minutes; full: about an hour; tiny: seconds, for tests only.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Report folder; an interrupted run of the same preset and seed is resumed. "
    "[default: reports/PRESET-SEED]",
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1 …")
@click.option("--workers", type=click.IntRange(min=1), help="Processes. [default: one a core]")
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="Judge this claim alone, from the evidence that it needs; repeatable. The report goes to "
    "the folder `only` below the report folder, the cells are shared with a whole run.",
)
@click.option("--list", "listed", is_flag=True, help="Name the claims, gather nothing.")
def validate(
    preset: str,
    seed: int,
    out: Path | None,
    device: str,
    workers: int | None,
    only: tuple[str, ...],
    listed: bool,
) -> None:
    """Check the theorems on trained networks; print the claims, write figures and a report."""
    claims = _chosen(only)
    if listed:
        for claim in claims:
            click.echo(f"{claim.name}: {claim.statement}")
        return
    if preset not in PRESETS:
        raise click.UsageError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    folder = out or Path("reports") / f"{preset}-{seed}"
    chosen = PRESETS[preset]
    if not (only or chosen.long_checks):
        claims = tuple(claim for claim in claims if not claim.long)
    _check_device(device)
    try:
        take_folder(folder, chosen, seed, device)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    try:
        results, seconds = _collect(chosen, seed, folder, device, workers, claims)
    except KeyboardInterrupt:
        click.echo("interrupted: the same command resumes from what is computed", err=True)
        raise SystemExit(exits.INTERRUPTED) from None
    except OSError as error:
        click.echo(f"Error: {error}: the same command resumes from what is computed", err=True)
        raise SystemExit(exits.IO_ERROR) from None
    except Exception:  # not a failed claim: tell it apart from exit code 1
        traceback.print_exc()
        click.echo("the run broke; the same command resumes from what is computed", err=True)
        raise SystemExit(exits.CRASHED) from None

    from rmtstab import report
    from rmtstab.report.origin import write_origin

    if only:
        folder = folder / "only"
        folder.mkdir(exist_ok=True)
    write_origin(folder)
    report.write(folder, results)
    click.echo(report.table(results["claims"]))
    for note in results["notes"]:
        click.echo(note)
    failed = [claim["name"] for claim in results["claims"] if claim["holds"] is False]
    click.echo(f"report: {folder / 'index.html'} ({seconds:.0f} s)")
    if failed:
        click.echo(f"{len(failed)} of {len(results['claims'])} claims fail: {', '.join(failed)}")
        raise SystemExit(exits.CLAIM_FAILS)
    click.echo(f"all {len(results['claims'])} claims hold or are reported without a threshold")


def _chosen(only: tuple[str, ...]) -> tuple[Claim, ...]:
    """Return the claims named, in the report's order; all without a name."""
    from rmtstab import claims
    from rmtstab.experiment import run

    known = {claim.name: claim for claim in claims.CLAIMS}
    for name in only:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            raise click.UsageError(
                f"only must name a claim (see --list), got {name!r}: did you mean {near[0]!r}?"
            )
        if known[name].needs_torch and not run.has_torch():
            raise click.UsageError(
                f"only must name a claim that can run, got {name!r}: it needs trained networks, "
                "and torch is not installed (pip install 'rmtstab[torch,data]')"
            )
    return tuple(claim for claim in claims.CLAIMS if not only or claim.name in only)


def _collect(
    preset: Preset,
    seed: int,
    folder: Path,
    device: str,
    workers: int | None,
    claims: tuple[Claim, ...],
) -> tuple[dict[str, Any], float]:
    from rmtstab.experiment import run
    from rmtstab.sweeps import worker_pool

    started = time.monotonic()
    with progress() as bar:

        def report_progress(stage: str, size: int) -> None:
            if stage:
                bar.stage(stage, size)
            else:
                bar.update(size)

        count = workers or os.cpu_count() or 1
        with worker_pool(count) as pool:
            evidence = run.collect(
                preset,
                seed,
                folder / "cells",
                pool,
                device=device,
                progress=report_progress,
                claims=claims,
            )
    notes = []
    skipped = sum(claim.needs_torch for claim in claims)
    if not run.has_torch() and skipped:
        notes.append(
            f"{skipped} claims about trained networks did not run: torch is not installed "
            "(pip install 'rmtstab[torch,data]')"
        )
    elif skipped and not run.has_digits():
        notes.append("digits did not run: scikit-learn is not installed (rmtstab[data])")
    judged = [
        claim.record(evidence) for claim in claims if run.has_torch() or not claim.needs_torch
    ]
    results = {**evidence, "claims": judged, "notes": notes, "versions": versions()}
    return results, time.monotonic() - started


def _check_device(device: str) -> None:
    from rmtstab.experiment.run import has_torch

    if not has_torch():
        if device != "cpu":
            raise click.UsageError(f"device must be cpu without torch, got {device!r}")
        return
    from rmtstab.bridge.factors import resolve_device

    try:
        resolve_device(device)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
