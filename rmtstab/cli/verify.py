"""``rmtstab verify``: check a certificate of the growth factor in ball arithmetic."""

from __future__ import annotations

from dataclasses import asdict

import click

from rmtstab.cli import exits
from rmtstab.cli.output import json_option, print_json


@click.command()
@click.argument("certificate", type=click.Path(exists=True, dir_okay=False))
@json_option
def verify(certificate: str, as_json: bool) -> None:
    """Prove what CERTIFICATE states, in ball arithmetic that encloses every rounding.

    Exit code 0: proved. 1: not proved. 2: no certificate, or one that was altered.
    """
    from rmtstab.verification import verify as check

    try:
        found = check(certificate)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        print_json(asdict(found))
        raise SystemExit(0 if found.proved else exits.CLAIM_FAILS)
    word = "proved" if found.proved else "NOT proved"
    click.echo(f"{word}: {found.statement}")
    click.echo(f"  {found.reason}")
    click.echo(
        f"  rank {found.rank}, {found.n_samples} samples, balls of {found.precision} bits; "
        "about the factors in the file, nothing else"
    )
    if not found.proved:
        raise SystemExit(exits.CLAIM_FAILS)
