"""One wording of verdicts and numbers, in a terminal and on a page."""

from __future__ import annotations

import math
from typing import Any

VERDICTS = {True: "holds", False: "fails", None: "reported"}


def verdict(claim: dict[str, Any]) -> str:
    """Name a claim's verdict: "holds", "fails", or "reported" where it has no threshold."""
    return VERDICTS.get(claim["holds"] if isinstance(claim["holds"], bool) else None, "reported")


def number(claim: dict[str, Any]) -> str:
    """Value and error bar of a claim, as text."""
    value, error = claim["value"], claim["error_bar"]
    if value is None or math.isnan(value):
        return "no number"
    bar = "" if error is None or math.isnan(error) else f" ± {error:.2g}"
    return f"{value:.4g}{bar}"


def there(claim: dict[str, Any]) -> str:
    """The claim's number in its failing setting, as text."""
    failing = claim.get("failing")
    return "" if failing is None or math.isnan(failing) else f" [there: {failing:.4g}]"


def mutation(claim: dict[str, Any]) -> str:
    """What a wrong theory scored before the claim's judge, as text; empty where none was tried."""
    wrong = claim.get("mutation")
    if wrong is None:
        return ""
    ending = "holds, so that the claim says nothing" if wrong["holds"] else "fails, as it must"
    return f"theory × {wrong['scale']:g}: {ending} [{number({**wrong, 'error_bar': None})}]"


def table(claims: list[dict[str, Any]]) -> str:
    """Lay out the claims as text: verdict, name, statement, conditions, what was measured."""
    blocks = []
    for claim in claims:
        block = [
            f"{verdict(claim):>8}  {claim['name']}",
            f"          {claim['statement']}",
            f"          normalisation: {claim['normalisation']}; horizon: {claim['horizon']}",
            f"          measured: {claim['measured']} [{number(claim)}]",
            f"          fails: {claim['fails']}{there(claim)}",
        ]
        if mutation(claim):
            block.append(f"          {mutation(claim)}")
        blocks.append("\n".join(block))
    return "\n".join(blocks)
