"""``rmtstab report``: draw a validation run's figures and page again from its results."""

from __future__ import annotations

from pathlib import Path

import click

from rmtstab.cli import exits
from rmtstab.cli.output import json_option, print_json


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@json_option
def report(folder: Path, as_json: bool) -> None:
    """Judge the claims of FOLDER/results.json again; rewrite its figures and index.html."""
    from rmtstab import report as writer
    from rmtstab.claims import CLAIMS

    rule = f"folder must hold the results.json of a validation run, got {folder}"
    try:
        results = writer.read(folder)
        names = {claim["name"] for claim in results["claims"]}
        results["claims"] = [c.record(results) for c in CLAIMS if c.name in names]
        if not results["claims"]:
            raise ValueError("none of its claims is known")
        drawn = writer.compose(results)
        table = writer.table(results["claims"])
    except FileNotFoundError:
        raise click.UsageError(f"{rule}: there is none") from None
    except (OSError, ImportError):
        raise
    except Exception as error:  # records can be wrong in any way
        words = " ".join(str(error).split())[:200]
        click.echo(f"Error: {rule}: damaged, {type(error).__name__}: {words}", err=True)
        raise SystemExit(exits.DAMAGED) from None
    drawn.write(folder)
    if as_json:
        print_json({"claims": results["claims"], "report": folder / "index.html"})
    else:
        click.echo(table)
    if any(claim["holds"] is False for claim in results["claims"]):
        raise SystemExit(exits.CLAIM_FAILS)
