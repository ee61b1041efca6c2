"""``rmtstab info``: versions, what is installed, and where."""

from __future__ import annotations

import importlib.util
import os
import platform
from pathlib import Path
from typing import Any

import click

from rmtstab.cli.output import json_option, print_json

EXTRAS = {  # extra: what it adds, and what that needs
    "torch": ("the bridge to networks", ("torch",)),
    "data": ("digits", ("sklearn",)),
    "sweeps": ("sweeps on clusters", ("dask", "distributed", "threadpoolctl", "xarray", "zarr")),
}


def facts() -> dict[str, Any]:
    """Collect what a report of a fault should say."""
    from rmtstab.sweeps import versions

    missing = {
        extra: [name for name in names if importlib.util.find_spec(name) is None]
        for extra, (_, names) in EXTRAS.items()
    }
    return {
        "versions": versions(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "package": str(Path(__file__).parents[1]),
        "extras": {extra: names or "complete" for extra, names in missing.items()},
        "threads": {
            name: os.environ.get(name, "not set")
            for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
        },
    }


@click.command()
@json_option
def info(as_json: bool) -> None:
    """Print versions, optional parts and where rmtstab is: for a report of a fault."""
    found = facts()
    if as_json:
        print_json(found)
        return
    for name, version in found["versions"].items():
        click.echo(f"{name:>14}  {version}")
    click.echo(f"{'platform':>14}  {found['platform']}, {found['processors']} processors")
    click.echo(f"{'package':>14}  {found['package']}")
    for extra, state in found["extras"].items():
        words = state if isinstance(state, str) else f"without {', '.join(state)}"
        click.echo(f"{'[' + extra + ']':>14}  {EXTRAS[extra][0]}: {words}")
    for name, value in found["threads"].items():
        click.echo(f"{name}={value}")
