"""One JSON object on standard output, the same way for every command."""

from __future__ import annotations

import json
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def print_json(value: Any) -> None:
    """Print a value as one line of strict JSON: NaN is null, an infinity is text.

    Parameters
    ----------
    value : object
        What `rmtstab._record.plain` takes.

    Examples
    --------
    >>> from rmtstab.cli.output import print_json
    >>> print_json({"a": float("nan"), "b": float("inf")})
    {"a": null, "b": "Infinity"}
    """
    from rmtstab._record import plain  # numpy, which --version need not load

    click.echo(json.dumps(plain(value), allow_nan=False))
