"""``rmtstab validate``: check the theorems on trained networks, write a report."""

from __future__ import annotations

import difflib
import hashlib
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rmtstab.cli import exits
from rmtstab.cli.output import json_option, print_json
from rmtstab.cli.progress import progress
from rmtstab.experiment.presets import PRESETS, Preset
from rmtstab.experiment.provenance import take_folder
from rmtstab.experiment.validation import Validation, read_preset
from rmtstab.experiment.validation import validate as gather

if TYPE_CHECKING:
    from rmtstab.claims import Claim


def _presets(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a preset."""
    return [name for name in PRESETS if name.startswith(incomplete)]


def _claims(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a claim."""
    from rmtstab.claims import CLAIMS

    return [claim.name for claim in CLAIMS if claim.name.startswith(incomplete)]


@click.command()
@click.option(
    "--preset",
    shell_complete=_presets,
    default="quick",
    show_default=True,
    help="quick: minutes; full: about an hour; tiny: seconds, for tests only.",
)
@click.option("--snr", help="Signal-to-noise ratios in place of the preset's: 0,.1,.3,1.")
@click.option("--filters", type=int, help="Filters per sign in place of the preset's.")
@click.option("--dim", type=int, help="Patch dimension in place of the preset's.")
@click.option("--n", type=int, help="Samples in place of the preset's; batches scale with them.")
@click.option("--n-forget", type=int, help="Forget samples in place of the preset's.")
@click.option("--repeats", type=int, help="Networks a ratio in place of the preset's.")
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
    shell_complete=_claims,
    metavar="NAME",
    help="Judge this claim alone, from the evidence that it needs; repeatable. The report goes to "
    "the folder `only` below the report folder, the cells are shared with a whole run.",
)
@click.option("--list", "listed", is_flag=True, help="Name the claims, gather nothing.")
@json_option
def validate(
    preset: str,
    snr: str | None,
    filters: int | None,
    dim: int | None,
    n: int | None,
    n_forget: int | None,
    repeats: int | None,
    seed: int,
    out: Path | None,
    device: str,
    workers: int | None,
    only: tuple[str, ...],
    listed: bool,
    as_json: bool,
) -> None:
    """Check the theorems on trained networks; print the claims, write figures and a report."""
    claims = _chosen(only)
    if listed and as_json:
        print_json({claim.name: claim.statement for claim in claims})
        return
    if listed:
        for claim in claims:
            click.echo(f"{claim.name}: {claim.statement}")
        return
    sizes = {"filters": filters, "dim": dim, "n": n, "n_forget": n_forget, "repeats": repeats}
    try:
        chosen = _changed(read_preset(preset), snr, sizes)
        folder = out or Path("reports") / f"{chosen.name}-{seed}"
        _check_device(device)
        take_folder(folder, chosen, seed, device)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if not (only or chosen.long_checks):
        claims = tuple(claim for claim in claims if not claim.long)
    try:
        found = _run(chosen, seed, folder, device, workers, claims)
    except KeyboardInterrupt:
        click.echo("interrupted: the same command resumes from what is computed", err=True)
        raise SystemExit(exits.INTERRUPTED) from None
    except OSError as error:
        click.echo(f"Error: {error}: the same command resumes from what is computed", err=True)
        raise SystemExit(exits.code_of(error)) from None
    except Exception:  # not a failed claim: tell it apart from exit code 1
        traceback.print_exc()
        click.echo("the run broke; the same command resumes from what is computed", err=True)
        raise SystemExit(exits.CRASHED) from None

    from rmtstab import report

    page = found.report(folder / "only" if only else folder)
    if as_json:
        print_json({"claims": found.claims, "notes": found.results["notes"], "report": page})
        raise SystemExit(exits.CLAIM_FAILS if found.failed else 0)
    click.echo(report.table(found.claims))
    for note in found.results["notes"]:
        click.echo(note)
    click.echo(f"report: {page} ({found.seconds:.0f} s)")
    if found.failed:
        failed = ", ".join(found.failed)
        click.echo(f"{len(found.failed)} of {len(found.claims)} claims fail: {failed}")
        raise SystemExit(exits.CLAIM_FAILS)
    click.echo(f"all {len(found.claims)} claims hold or are reported without a threshold")


def _changed(preset: Preset, snr: str | None, sizes: dict[str, int | None]) -> Preset:
    """Preset with the sizes that were given; its name says that it is no longer itself."""
    changes: dict[str, Any] = {k: v for k, v in sizes.items() if v is not None}
    if snr is not None:
        try:
            changes["snrs"] = tuple(float(value) for value in snr.split(","))
            changes["escape_snrs"] = ()  # the same
        except ValueError:
            raise ValueError(f"snr must be numbers like 0,.1,.3,1, got {snr!r}") from None
    if not changes:
        return preset
    if {"n", "n_forget"} & set(changes):  # batches are shares of the sets
        changes |= {"batch_sizes": (), "batch_size": (0, 0), "natural_batch_sizes": ()}
    changed = replace(preset, **changes)
    digest = hashlib.sha256(repr(changed.describe()).encode()).hexdigest()[:8]
    return replace(changed, name=f"{preset.name}-{digest}")


def _run(
    preset: Preset,
    seed: int,
    folder: Path,
    device: str,
    workers: int | None,
    claims: tuple[Claim, ...],
) -> Validation:
    with progress() as bar:

        def report_progress(stage: str, size: int) -> None:
            if stage:
                bar.stage(stage, size)
            else:
                bar.update(size)

        return gather(
            preset, seed=seed, out=folder, claims=claims, device=device, workers=workers,
            progress=report_progress,
        )  # fmt: skip


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
