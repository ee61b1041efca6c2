"""``rmtstab frontier``: exact stability map of a problem read from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from rmtstab._results import Verdict
from rmtstab.cli.factor_file import read_problem
from rmtstab.cli.out_file import FIGURE, draw
from rmtstab.cli.output import json_option, print_json
from rmtstab.sampling import SAMPLINGS

EXAMPLES = """\b
Examples:
  rmtstab frontier factors.npz
  rmtstab frontier factors.npz --batch-sizes 4/1,8/2,16/4 --alphas 10 --out map.png
  rmtstab frontier factors.npz --step-size 0.05 --horizon 200 --json
"""
MEAN_SQUARE = (
    "noise drives the mean square of escaping cells: rare runs carry it, and typical ones may "
    "stay. --horizon K maps what K steps do"
)
PLAIN = "no forget set in the file: plain SGD on the retain set, no mixing to map"
ASCENT = (
    "a cell that escapes may need more steps than you take: --horizon K --radius R maps what "
    "K steps do"
)


@click.command(epilog=EXAMPLES)
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--step-size", type=float, help="η. [default: half of plain SGD's own threshold]")
@click.option(
    "--batch-sizes",
    default="2,4,8",
    show_default=True,
    help="Of the retain set, or RETAIN/FORGET; a retain size alone takes the same share of the "
    "forget set.",
)
@click.option(
    "--alphas",
    type=click.IntRange(min=2),
    default=20,
    show_default=True,
    help="Number of mixings, from 0 to 1.",
)
@click.option(
    "--sampling",
    default="without_replacement",
    show_default=True,
    type=click.Choice(SAMPLINGS),
)
@click.option("--weight-decay", type=float, default=0.0, show_default=True)
@click.option("--momentum", type=float, default=0.0, show_default=True)
@click.option("--horizon", type=int, help="Steps; maps E‖w_K‖² against radius² instead of ρ.")
@click.option("--radius", type=float, default=10.0, show_default=True, help="With --horizon.")
@click.option("--out", type=FIGURE, help="Draw the map here (PNG, SVG, PDF).")
@json_option
def frontier(
    data: Path,
    step_size: float | None,
    batch_sizes: str,
    alphas: int,
    sampling: str,
    weight_decay: float,
    momentum: float,
    horizon: int | None,
    radius: float,
    out: Path | None,
    as_json: bool,
) -> None:
    """Print growth over (mixing × batch size), and the critical mixings, of DATA.

    DATA is an .npz with `retain` and `forget` factors, (n, d) or (n, C, d), or with
    `gram` and `n_retain` (and `rank`, rows per sample). Without a forget set there is
    only plain SGD, at mixing 0.
    """
    try:
        problem = read_problem(data)
        pairs = [_pair(text, problem) for text in batch_sizes.split(",")]
        options: dict[str, Any] = {
            "sampling": sampling,
            "weight_decay": weight_decay,
            "momentum": momentum,
        }
        if step_size is None:
            step_size = 0.5 * float(problem.critical_step_size(pairs[0], 0.0, **options))
        grid = np.linspace(0.0, 1.0, alphas) if problem.n_forget else np.zeros(1)
        limit = None if horizon is None else radius
        found = problem.frontier(step_size, pairs, grid, horizon=horizon, radius=limit, **options)
        reasons = _reasons(problem, step_size, pairs, found, options)
    except (ValueError, TypeError) as error:
        raise click.UsageError(str(error)) from None
    if out is not None:
        draw(out, lambda ax: _plot(ax, found))
    if as_json:
        settings = {"step_size": step_size, **options, "horizon": horizon, "radius": limit}
        told = found.to_dict()
        if not problem.n_forget:
            told |= {"critical_alpha": None, "critical_error": None}
            reasons = [PLAIN, *reasons]
        shown = {"settings": settings, "frontier": told, "reasons": reasons}
        if out is not None:
            shown["map"] = str(out)
        print_json(shown)
        return
    _print(problem, step_size, sampling, found, reasons)
    if out is not None:
        click.echo(f"map: {out}")


def _print(problem: Any, step_size: float, sampling: str, found: Any, reasons: list[str]) -> None:
    coherence = problem.coherence()
    click.echo(f"{problem}, step size {step_size:.6g}, {sampling} sampling")
    click.echo(
        f"coherence: retain {coherence.retain:.3g}, forget {coherence.forget:.3g}, "
        f"cross {coherence.cross:.3g}"
        if problem.n_forget
        else f"coherence: retain {coherence.retain:.3g}"
    )
    horizon = found.horizon
    what = "growth factor" if horizon is None else f"E‖w_{horizon}‖² / E‖w_0‖²"
    click.echo(f"{what} (escapes above {found.level:g}); columns: batch sizes retain/forget")
    heads = [f"{r:g}/{f:g}" if problem.n_forget else f"{r:g}" for r, f in found.batch_sizes]
    click.echo("alpha".rjust(8) + "".join(head.rjust(12) for head in heads))
    open_cells = found.verdicts == Verdict.UNDECIDED
    for alpha, row, marks in zip(found.alphas, found.values, open_cells, strict=True):
        cells = (f"{v:.5g}{'?' if m else ''}".rjust(12) for v, m in zip(row, marks, strict=True))
        click.echo(f"{alpha:8.4f}" + "".join(cells))
    if problem.n_forget:
        click.echo("critical" + "".join(f"{a:12.5g}" for a in found.critical_alpha))
    else:
        click.echo(PLAIN)
    if open_cells.any():
        click.echo("? undecided: neither side of the frontier could be certified")
    for reason in reasons:
        click.echo(reason)


def _reasons(
    problem: Any, step_size: float, pairs: list[Any], found: Any, options: dict[str, Any]
) -> list[str]:
    """Say why the least growing cell that escapes does, and what to look at next."""
    escaping = found.verdicts == Verdict.ESCAPES
    if found.horizon is not None or not escaping.any():
        return []
    margin = np.where(escaping, found.values, np.inf)
    row, column = np.unravel_index(int(np.argmin(margin)), margin.shape)
    pair, alpha = pairs[column], float(found.alphas[row])
    reason = problem.dynamics(step_size, pair, alpha, **options).reason()
    shown = f"{pair[0]:g}/{pair[1]:g}" if isinstance(pair, tuple) else f"{pair:g}"
    return [
        f"first to escape (α = {alpha:.4g}, batches {shown}): {reason.value}",
        MEAN_SQUARE if reason.name == "NOISE_DRIVEN" else ASCENT,
    ]


def _pair(text: str, problem: Any) -> Any:
    """Read RETAIN or RETAIN/FORGET; alone, the forget batch takes the same share, at least 1."""
    try:
        numbers = [int(part) for part in text.split("/")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2):
        raise ValueError(
            f"batch-sizes must be whole numbers or pairs such as 8 or 8/2, got {text.strip()!r}"
        )
    if not problem.n_forget:
        if len(numbers) == 2:
            raise ValueError(
                f"batch-sizes must be of the retain set alone, got {text}: there is no forget set"
            )
        return numbers[0]
    if len(numbers) == 1:
        share = numbers[0] * problem.n_forget / problem.n_retain
        numbers.append(min(max(1, round(share)), problem.n_forget))
    return tuple(numbers)


def _plot(ax: Any, found: Any) -> None:
    from rmtstab.figures import stability_map

    stability_map(ax, found)
