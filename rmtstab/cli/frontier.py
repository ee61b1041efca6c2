"""``rmtstab frontier``: exact stability map of a problem read from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from rmtstab._results import Verdict
from rmtstab.sampling import SAMPLINGS


@click.command()
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--step-size", type=float, help="η. [default: half of plain SGD's own threshold]")
@click.option("--batch-sizes", default="2,4,8", show_default=True, help="Of the retain set.")
@click.option("--alphas", type=int, default=20, show_default=True, help="Mixings from 0 to 1.")
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
@click.option("--out", type=click.Path(path_type=Path), help="Draw the map here (PNG, SVG, PDF).")
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
) -> None:
    """Print growth over (mixing × batch size), and the critical mixings, of DATA.

    DATA is an .npz with `retain` and `forget` factors, (n, d) or (n, C, d), or with
    `gram` and `n_retain` (and `rank`, rows per sample).
    """
    try:
        problem = _read(data)
        retain = [int(b) for b in batch_sizes.split(",")]
        pairs = [(b, _forget_batch(b, problem)) for b in retain]
        options: dict[str, Any] = {
            "sampling": sampling,
            "weight_decay": weight_decay,
            "momentum": momentum,
        }
        if step_size is None:
            step_size = 0.5 * float(problem.critical_step_size(pairs[0], 0.0, **options))
        grid = np.linspace(0.0, 1.0, max(alphas, 2)) if problem.n_forget else np.zeros(1)
        found = problem.frontier(
            step_size,
            pairs,
            grid,
            horizon=horizon,
            radius=None if horizon is None else radius,
            **options,
        )
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise click.UsageError(str(error)) from None
    coherence = problem.coherence()
    click.echo(f"{problem}, step size {step_size:.6g}, {sampling} sampling")
    click.echo(
        f"coherence: retain {coherence.retain:.3g}, forget {coherence.forget:.3g}, "
        f"cross {coherence.cross:.3g}"
    )
    what = "growth factor" if horizon is None else f"E‖w_{horizon}‖² / E‖w_0‖²"
    click.echo(f"{what} (escapes above {found.level:g}); columns: batch sizes retain/forget")
    head = "".join(f"{int(r)}/{int(f)}".rjust(12) for r, f in found.batch_sizes)
    click.echo("alpha".rjust(8) + head)
    open_cells = found.verdicts == Verdict.UNDECIDED
    for alpha, row, marks in zip(found.alphas, found.values, open_cells, strict=True):
        cells = (f"{v:.5g}{'?' if m else ''}".rjust(12) for v, m in zip(row, marks, strict=True))
        click.echo(f"{alpha:8.4f}" + "".join(cells))
    click.echo("critical" + "".join(f"{a:12.5g}" for a in found.critical_alpha))
    if open_cells.any():
        click.echo("? undecided: neither side of the frontier could be certified")
    if out is not None:
        _draw(found, out)
        click.echo(f"map: {out}")


def _read(data: Path) -> Any:
    from rmtstab.unlearning.problem import UnlearningProblem

    with np.load(data, allow_pickle=False) as arrays:
        if "gram" in arrays:
            rank = int(arrays["rank"]) if "rank" in arrays else 1
            return UnlearningProblem.from_gram(arrays["gram"], int(arrays["n_retain"]), rank)
        if "retain" not in arrays:
            raise ValueError(
                f"{data} must hold retain and forget, or gram and n_retain, got {arrays.files}"
            )
        forget = arrays.get("forget", ())
        return UnlearningProblem.from_factors(arrays["retain"], forget)


def _forget_batch(retain_batch: int, problem: Any) -> int:
    """Forget batch of the same fraction, at least 1."""
    if not problem.n_forget:
        return 1
    return int(max(1, round(retain_batch * problem.n_forget / problem.n_retain)))


def _draw(found: Any, out: Path) -> None:
    from matplotlib.figure import Figure

    from rmtstab.figures import COLUMN, stability_map, style

    with style():
        figure = Figure(figsize=(1.4 * COLUMN, COLUMN))
        stability_map(figure.add_subplot(), found)
        figure.savefig(out)
