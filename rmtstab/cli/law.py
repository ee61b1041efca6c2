"""``rmtstab law``: evaluate or draw a spectral law."""

from __future__ import annotations

import json
import math
from typing import Any

import click

FUNCTIONS = ("pdf", "logpdf", "cdf", "logcdf", "sf", "logsf", "ppf", "isf")

# name on the command line: class, and its options in the order of its parameters
LAWS: dict[str, tuple[str, tuple[str, ...]]] = {
    "mp": ("MarchenkoPastur", ("aspect_ratio", "scale")),
    "generalized-mp": ("GeneralizedMarchenkoPastur", ("aspect_ratio", "atoms", "weights")),
    "descent-ascent": (
        "DescentAscent",
        ("retain_ratio", "forget_ratio", "alpha", "weight_decay"),
    ),
    "semicircle": ("Semicircle", ("radius",)),
    "wachter": ("Wachter", ("numerator_ratio", "denominator_ratio")),
    "jacobi": ("Jacobi", ("p", "n1", "n2")),
    "tracy-widom": ("TracyWidom", ("dyson_index", "scaling")),
    "spiked": ("Spiked", ("aspect_ratio", "spikes", "kind", "scale")),
}
LISTS = {"atoms", "weights", "spikes"}
WORDS = {"scaling", "kind"}


def _parameters(function: Any) -> Any:
    """Add one option for every parameter of every law, and one for every function."""
    for name in sorted({option for _, options in LAWS.values() for option in options}):
        flag = "--" + name.replace("_", "-")
        owners = ", ".join(law for law, (_, options) in LAWS.items() if name in options)
        kind: type
        if name in LISTS:
            note, kind = f"Comma-separated numbers; {owners}.", str
        elif name in WORDS:
            note, kind = f"{owners}.", str
        else:
            note, kind = f"{owners}.", float
        function = click.option(flag, name, type=kind, default=None, help=note)(function)
    for name in reversed(FUNCTIONS):
        function = click.option(
            f"--{name}", name, type=float, multiple=True, help=f"Evaluate {name} at a number."
        )(function)
    return function


EXAMPLES = """\b
Examples:
  rmtstab law mp --aspect-ratio 0.5 --cdf 1.2 --json
  rmtstab law generalized-mp --aspect-ratio 0.1 --atoms 1,8 --weights 0.5,0.5
  rmtstab law mp --aspect-ratio 0.5 --plot mp.png
"""


@click.command(epilog=EXAMPLES)
@click.argument("name", type=click.Choice(list(LAWS)))
@_parameters
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--plot", type=click.Path(dir_okay=False), help="Draw the density to this file.")
def law(name: str, as_json: bool, plot: str | None, **options: Any) -> None:
    """Evaluate or draw a spectral law.

    Without a function to evaluate, print its support, atoms, mean and variance.
    """
    try:
        instance = _build(name, options)
        answer = _answer(instance, name, options)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise click.UsageError(str(error)) from error
    if plot is not None:
        _draw(instance, plot)
        answer["plot"] = plot
    if as_json:
        click.echo(json.dumps(answer, default=str))
        return
    for key, value in answer.items():
        if key in FUNCTIONS:
            for point, number in value:
                click.echo(f"{key}({point!r}) = {number!r}")
        else:
            click.echo(f"{key}: {value}")


def _build(name: str, options: dict[str, Any]) -> Any:
    """Build the law from the options given, or raise what the law raises."""
    from rmtstab import laws

    cls, accepted = LAWS[name]
    known = {option for _, group in LAWS.values() for option in group}
    given = {key: value for key, value in options.items() if key in known and value is not None}
    for key in given:
        if key not in accepted:
            flag, allowed = (v.replace("_", "-") for v in (key, ", --".join(accepted)))
            raise ValueError(f"--{flag} does not belong to {name}; accepted: --{allowed}")
    for key in LISTS & set(given):
        try:
            given[key] = [float(part) for part in given[key].split(",")]
        except ValueError:
            raise ValueError(f"{key} must be comma-separated numbers, got {given[key]!r}") from None
    try:
        return getattr(laws, cls)(**given)
    except TypeError as error:
        if "missing" not in str(error):
            raise
        needed = ", ".join("--" + key.replace("_", "-") for key in accepted if key not in given)
        raise ValueError(f"{name} needs more options; not given: {needed}") from None


def _answer(instance: Any, name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Evaluate what was asked, or describe the law."""
    accepted = LAWS[name][1]
    parameters = {
        key: getattr(instance, key) for key in accepted if hasattr(type(instance), key)
        or key in getattr(instance, "__dict__", {})
    }  # fmt: skip
    answer: dict[str, Any] = {"law": name, "parameters": parameters}
    if name == "generalized-mp":
        answer["parameters"] = {
            "aspect_ratio": instance.aspect_ratio,
            "population": instance.population,
        }
    asked = [key for key in FUNCTIONS if options[key]]
    for key in asked:
        values = [(point, getattr(instance, key)(point)) for point in options[key]]
        answer[key] = [(point, _finite(number)) for point, number in values]
    if not asked:
        answer["edges"] = [[_finite(v) for v in row] for row in instance.edges().tolist()]
        answer["atoms"] = instance.atoms()
        answer["mean"], answer["variance"] = instance.mean(), instance.var()
        if hasattr(instance, "outliers"):
            answer["transition"] = instance.transition
            answer["outliers"] = [_finite(v) for v in instance.outliers().tolist()]
    return answer


def _finite(number: float) -> float | str:
    """Return a number, or its name where JSON has none."""
    return number if math.isfinite(number) else str(number)


def _draw(instance: Any, path: str) -> None:
    """Save a figure of the density."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    from rmtstab import figures, laws

    figure, ax = plt.subplots()
    if isinstance(instance, laws.SpectralLaw):
        figures.spectrum(ax, [], instance)
    else:
        x = np.linspace(instance.ppf(1e-6), instance.isf(1e-6), 801)
        ax.plot(x, instance.pdf(x))
        ax.set_xlabel("x")
        ax.set_ylabel("density")
    figure.savefig(path, dpi=150)
    plt.close(figure)
