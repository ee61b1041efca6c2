"""``rmtstab report``: draw a validation run's figures and page again from its results."""

from __future__ import annotations

from pathlib import Path

import click

from rmtstab.cli import exits


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def report(folder: Path) -> None:
    """Judge the claims of FOLDER/results.json again; rewrite its figures and index.html."""
    from rmtstab import report as writer
    from rmtstab.claims import CLAIMS

    try:
        results = writer.read(folder)
        names = {claim["name"] for claim in results["claims"]}
        results["claims"] = [c.record(results) for c in CLAIMS if c.name in names]
        if not results["claims"] or not {"notes", "versions", "preset", "seed"} <= set(results):
            raise ValueError("claims, notes, versions, preset or seed are missing")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise click.UsageError(
            f"folder must hold the results.json of a validation run, got {folder}: {_words(error)}"
        ) from error
    writer.write(folder, results)
    click.echo(writer.table(results["claims"]))
    if any(claim["holds"] is False for claim in results["claims"]):
        raise SystemExit(exits.CLAIM_FAILS)


def _words(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is none"
    return f"missing {error}" if isinstance(error, KeyError) else str(error)
