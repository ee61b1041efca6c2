"""A dynamics in words: what stands, why, and what to look at next."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rmtstab.dynamics.linearised import Dynamics


def lines(dyn: Dynamics) -> list[tuple[str, str]]:
    """Pairs of label and text."""
    growth, problem = dyn.growth(), dyn.problem
    critical = problem.critical_step_size(
        dyn.batch_size if problem.n_forget else dyn.batch_size[0],
        dyn.alpha,
        sampling=dyn.sampling,
        weight_decay=dyn.weight_decay,
        momentum=dyn.momentum,
    )
    result = [
        ("problem", f"{problem.n_retain} retain, {problem.n_forget} forget, rank {problem.rank}"),
        (
            "update",
            f"step size {dyn.step_size:.6g}, batches {dyn.batch_size[0]:g}/{dyn.batch_size[1]:g}, "
            f"mixing {dyn.alpha:g}, {dyn.sampling}, weight decay {dyn.weight_decay:g}, "
            f"momentum {dyn.momentum:g}",
        ),
        ("growth factor", f"{growth.value:.10g}, at most {growth.error_bound:.1e} more"),
        ("verdict", f"{growth.verdict.value}: {growth.reason.value}"),
        ("critical step size", f"{critical.value:.6g} ({critical.status})"),
    ]
    if growth.value > 1.0:
        result.append(("e-fold time", f"{2.0 / math.log(growth.value):.3g} steps (mean square)"))
        result.append(("resistance", f"{dyn.resistance():.3g} retain loss per unit of forget loss"))
    return result


def text(dyn: Dynamics) -> str:
    """One line a fact."""
    return "\n".join(f"{label:>18}: {words}" for label, words in lines(dyn))


def table(dyn: Dynamics) -> str:
    """The same as an HTML table."""
    rows = "".join(
        f"<tr><th>{html.escape(label)}</th><td>{html.escape(words)}</td></tr>"
        for label, words in lines(dyn)
    )
    return f"<table>{rows}</table>"
