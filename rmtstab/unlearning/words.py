"""Dynamics in words: what stands, why, and what to look at next."""

from __future__ import annotations

import html
import math
from collections.abc import Callable

from rmtstab._results import Growth, Threshold
from rmtstab.dynamics.update import Update
from rmtstab.dynamics.verdict import subject

Facts = list[tuple[str, str]]


def facts(
    update: Update, growth: Growth, critical: Threshold, resistance: Callable[[], float]
) -> Facts:
    """Pairs of label and text.

    Parameters
    ----------
    update : Update
    growth : Growth
    critical : Threshold
        Its critical step size.
    resistance : callable
        Asked only where the growth factor exceeds 1.

    Returns
    -------
    list of (str, str)
    """
    retain, forget = update.sizes
    of = "" if update.alpha else f" ({subject(update)})"
    result = [
        ("problem", f"{retain} retain, {forget} forget, rank {update.curvatures.rank}"),
        (
            "update",
            f"step size {update.step_size:.6g}, "
            f"batches {update.batch_size[0]:g}/{update.batch_size[1]:g}, "
            f"mixing {update.alpha:g}, {update.sampling}, "
            f"weight decay {update.weight_decay:g}, momentum {update.momentum:g}",
        ),
        ("growth factor", f"{growth.value:.10g}, at most {growth.error_bound:.1e} more"),
        ("verdict", f"{growth.verdict.value}: {growth.reason.value}{of}"),
        ("critical step size", f"{critical.value:.6g} ({critical.status})"),
    ]
    problem = update.curvatures
    if not problem.rank and problem.gradients is not None and problem.gradients.any():
        result[2:] = [
            (
                "verdict",
                "none: no sample has curvature while gradients are not zero; the losses move at "
                "first order, which linear stability does not see",
            )
        ]
    elif growth.value > 1.0:
        result.append(("e-fold time", f"{2.0 / math.log(growth.value):.3g} steps (mean square)"))
        result.append(("resistance", f"{resistance():.3g} retain loss per unit of forget loss"))
    return result


def text(given: Facts) -> str:
    """One line a fact.

    Parameters
    ----------
    given : list of (str, str)

    Returns
    -------
    str
    """
    return "\n".join(f"{label:>18}: {words}" for label, words in given)


def table(given: Facts) -> str:
    """The same as an HTML table.

    Parameters
    ----------
    given : list of (str, str)

    Returns
    -------
    str
    """
    rows = "".join(
        f"<tr><th>{html.escape(label)}</th><td>{html.escape(words)}</td></tr>"
        for label, words in given
    )
    return f"<table>{rows}</table>"
