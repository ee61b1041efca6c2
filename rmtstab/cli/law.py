"""``rmtstab law``: evaluate or draw a spectral law; names and options come from the laws."""

from __future__ import annotations

import inspect
import re
from functools import partial
from pathlib import Path
from typing import Any

import click

from rmtstab.cli.out_file import FIGURE, draw
from rmtstab.cli.output import print_json

FUNCTIONS = ("pdf", "logpdf", "cdf", "logcdf", "sf", "logsf", "ppf", "isf")
TYPES = {"str": str, "int": int, "Any": str, "tuple": str}  # by annotation; else a number
SHORT = {"marchenko-pastur": "mp", "generalized-marchenko-pastur": "generalized-mp"}

EXAMPLES = """\b
Examples:
  rmtstab law mp --aspect-ratio 0.5 --cdf 1.2 --json
  rmtstab law generalized-mp --aspect-ratio 0.1 --atoms 1,8 --weights 0.5,0.5
  rmtstab law mp --aspect-ratio 0.5 --plot mp.png

`rmtstab law mp --help` lists the options of one law; they are those of its class.
"""


class LawGroup(click.Group):
    """One command for each law of `rmtstab.laws` whose parameters fit a command line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the laws."""
        return list(_classes())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Build the command of one law from the parameters of its class."""
        cls = _classes().get(cmd_name)
        return None if cls is None else _command(cmd_name, cls)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the laws there are when the one asked for is none of them."""
        if args and args[0] not in _classes() and not args[0].startswith("-"):
            raise click.UsageError(f"{args[0]!r} is not one of {', '.join(_classes())}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=LawGroup, epilog=EXAMPLES)
def law() -> None:
    """Evaluate or draw a spectral law.

    Without a function to evaluate, print its support, atoms, mean and variance.
    """


def _classes() -> dict[str, type]:
    """Laws by their name on the command line; those built from other laws are left out."""
    from rmtstab import laws

    found = {}
    for name in laws.__all__:
        cls = getattr(laws, name)
        if not (inspect.isclass(cls) and issubclass(cls, laws.Law)) or inspect.isabstract(cls):
            continue
        if any("Law" in str(p.annotation) for p in inspect.signature(cls).parameters.values()):
            continue
        dashed = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()
        found[SHORT.get(dashed, dashed)] = cls
    return found


def _command(name: str, cls: type) -> click.Command:
    """Return the command of one law: an option for every parameter and every function."""
    parameters = [
        p for p in inspect.signature(cls).parameters.values() if p.kind is not p.KEYWORD_ONLY
    ]
    options: list[click.Parameter] = []
    for p in parameters:
        kind = str(p.annotation)
        options.append(
            click.Option(
                ["--" + p.name.replace("_", "-"), p.name],
                type=TYPES.get(kind.split("[")[0].split(" ")[0], float),
                required=p.default is p.empty,
                help="Comma-separated numbers." if kind.startswith(("Any", "tuple")) else None,
            )
        )
    for function in FUNCTIONS:
        options.append(
            click.Option(
                [f"--{function}", f"at_{function}"], type=float, multiple=True,
                help=f"Evaluate {function} at a number.",
            )
        )  # fmt: skip
    options.append(click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object."))
    options.append(
        click.Option(
            ["--plot"], type=FIGURE, help="Draw the density to this file: .pdf, .png, .svg."
        )
    )
    lists = {p.name for p in parameters if str(p.annotation).startswith(("Any", "tuple"))}

    def run(as_json: bool, plot: Path | None, **given: Any) -> None:
        asked = {f: given.pop(f"at_{f}") for f in FUNCTIONS}
        try:
            values = {k: _numbers(k, v) if k in lists else v for k, v in given.items()}
            instance = cls(**{k: v for k, v in values.items() if v is not None})
            answer = {"law": name, **_answer(instance, asked)}
        except (TypeError, ValueError) as error:
            raise click.UsageError(str(error)) from error
        if plot is not None:
            draw(plot, partial(_plot, instance))
            answer["plot"] = str(plot)
        _print(answer, as_json)

    text = (inspect.getdoc(cls) or "").partition("\n\n")[0].replace("\n", " ")
    text = re.sub(r" with density\b.*", ".", text).replace("``", "")  # its formula is in the docs
    text = re.sub(":math:`([^`]*)`", r"\1", text)
    return click.Command(name, params=options, callback=run, help=text)


def _numbers(name: str, text: str | None) -> list[float] | None:
    """Read comma-separated numbers."""
    try:
        return None if text is None else [float(part) for part in text.split(",") if part]
    except ValueError:
        raise ValueError(f"{name} must be comma-separated numbers, got {text!r}") from None


def _answer(instance: Any, asked: dict[str, tuple[float, ...]]) -> dict[str, Any]:
    """Evaluate what was asked, or describe the law."""
    from dataclasses import fields

    answer: dict[str, Any] = {
        "parameters": {f.name: getattr(instance, f.name) for f in fields(instance)}
    }
    for function, points in asked.items():
        if points:
            answer[function] = [(x, getattr(instance, function)(x)) for x in points]
    if not any(asked.values()):
        answer["edges"], answer["atoms"] = instance.edges().tolist(), instance.atoms()
        answer["mean"], answer["variance"] = instance.mean(), instance.var()
        if hasattr(instance, "outliers"):
            answer["transition"] = instance.transition
            answer["outliers"] = instance.outliers().tolist()
    return answer


def _print(answer: dict[str, Any], as_json: bool) -> None:
    """Print an answer, in lines or as JSON."""
    if as_json:
        print_json(answer)
        return
    for key, value in answer.items():
        if key in FUNCTIONS:
            for point, number in value:
                click.echo(f"{key}({point!r}) = {number!r}")
        else:
            click.echo(f"{key}: {value}")


def _plot(instance: Any, ax: Any) -> None:
    """Draw the density."""
    import numpy as np

    from rmtstab import figures, laws

    if isinstance(instance, laws.SpectralLaw):
        figures.spectrum(ax, [], instance)
    else:
        x = np.linspace(instance.ppf(1e-6), instance.isf(1e-6), 801)
        ax.plot(x, instance.pdf(x))
        ax.set_xlabel("x")
        ax.set_ylabel("density")
