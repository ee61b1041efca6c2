"""``rmtstab sweep``: run a sweep that a TOML file describes, here or on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rmtstab.cli import exits
from rmtstab.cli.output import json_option, print_json
from rmtstab.cli.progress import progress

EXAMPLES = """\b
Examples:
  rmtstab sweep --list
  rmtstab sweep map.toml --dry-run
  rmtstab sweep map.toml --out results/map --workers 4
  rmtstab sweep map.toml --out results/map --scheduler tcp://head:8786 --chunk-size 50
"""


@click.command(epilog=EXAMPLES)
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of cells and result; the same command goes on there. [default: FILE without "
    "its ending]",
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes of this machine.")
@click.option("--scheduler", metavar="ADDRESS", help="Of a Dask cluster, as tcp://host:8786.")
@click.option("--timeout", type=float, default=10.0, show_default=True, help="For it to answer, s.")
@click.option(
    "--chunk-size", type=click.IntRange(min=1), default=1, show_default=True, help="Cells a task."
)
@click.option("--seed", type=click.IntRange(min=0), help="Instead of the file's.")
@click.option("--dry-run", is_flag=True, help="Check the file, count the cells, compute nothing.")
@click.option("--list", "listed", is_flag=True, help="Name the experiments and their parameters.")
@json_option
def sweep(
    file: Path | None,
    out: Path | None,
    workers: int | None,
    scheduler: str | None,
    timeout: float,
    chunk_size: int,
    seed: int | None,
    dry_run: bool,
    listed: bool,
    as_json: bool,
) -> None:
    """Run the sweep of FILE: axes and a registered experiment, in TOML.

    The result is OUT/result.zarr, for `xarray.open_zarr`; one file a cell lies in OUT/cells.
    """
    from rmtstab import sweeps

    if listed:
        _list(as_json)
        return
    if file is None:
        raise click.UsageError("FILE must be given, or --list")
    if workers is not None and scheduler is not None:
        raise click.UsageError("--workers and --scheduler exclude each other")
    try:
        chosen = sweeps.Sweep.from_toml(file)
        if seed is not None:
            chosen = sweeps.Sweep(chosen.experiment, chosen.axes, chosen.fixed, seed)
    except (TypeError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    if dry_run:
        summary = {**chosen.describe(), "cells": len(chosen)}
        if as_json:
            print_json(summary)
        else:
            click.echo(f"{file}: {_size(chosen)}")
        return
    folder = out or file.with_suffix("")
    with progress() as bar:
        bar.stage(file.stem, len(chosen))
        try:
            found = chosen.run(
                folder,
                scheduler or ("processes" if workers else None),
                workers=workers,
                chunk_size=chunk_size,
                timeout=timeout,
                on_done=lambda cell: bar.update(),
            )
        except (TypeError, ValueError) as error:
            raise click.UsageError(str(error)) from None
    texts = [text for text in found["error"].values.ravel() if text] if "error" in found else []
    result = folder / "result.zarr"
    if as_json:
        summary = {"cells": len(chosen), "raised": len(texts), "result": str(result)}
        print_json(summary)
    else:
        click.echo(f"{_size(chosen)}; {len(texts)} raised")
        click.echo(f"result: {result}")
    if texts:
        click.echo(f"the first of {len(texts)} that raised:\n{texts[0]}", err=True)
        raise SystemExit(exits.CELLS_RAISED)


def _size(chosen: Any) -> str:
    axes = " × ".join(f"{len(values)} {name}" for name, values in chosen.axes.items())
    return f"{chosen.definition.name}, {len(chosen)} cells ({axes or 'no axis'})"


def _list(as_json: bool) -> None:
    from rmtstab import sweeps

    known = sweeps.experiments()
    if as_json:
        print_json(
            {
                name: {
                    "summary": found.summary,
                    "parameters": {k: p.default for k, p in (found.parameters or {}).items()},
                    "units": dict(found.units),
                }
                for name, found in known.items()
            }
        )
        return
    for name, found in known.items():
        click.echo(f"{name}: {found.summary}")
        for key, parameter in (found.parameters or {}).items():
            unit = found.units.get(key, "1")
            note = "" if unit == "1" else f"  [{unit}]"
            click.echo(f"    {key} = {parameter.default!r}{note}")
