"""``rmtstab verify``: check a certificate of the growth factor in ball arithmetic."""

from __future__ import annotations

import click


@click.command()
@click.argument("certificate", type=click.Path(exists=True, dir_okay=False))
def verify(certificate: str) -> None:
    """Prove what CERTIFICATE states, in ball arithmetic that encloses every rounding.

    Exit code 0: proved. 1: not proved. 2: no certificate, or one that was altered.
    """
    from rmtstab.verification import verify as check

    try:
        found = check(certificate)
    except (ValueError, ImportError) as error:
        raise click.UsageError(str(error)) from None
    word = "proved" if found.proved else "NOT proved"
    click.echo(f"{word}: {found.statement}")
    click.echo(f"  {found.reason}")
    click.echo(
        f"  rank {found.rank}, {found.n_samples} samples, balls of {found.precision} bits; "
        "about the factors in the file, nothing else"
    )
    if not found.proved:
        raise SystemExit(1)
