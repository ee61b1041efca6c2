"""The command ``rmtstab law``: values, JSON, figures, usage errors."""

import inspect
import json
import re

import pytest
from click.testing import CliRunner

from rmtstab import laws
from rmtstab.cli import main
from rmtstab.laws import MarchenkoPastur


def run(*arguments):
    return CliRunner().invoke(main, ["law", *arguments])


def test_value_as_json():
    result = run("mp", "--aspect-ratio", "0.5", "--cdf", "1.2", "--cdf", "2", "--json")
    assert result.exit_code == 0
    answer = json.loads(result.output)
    law = MarchenkoPastur(0.5)
    assert answer["cdf"] == [[1.2, law.cdf(1.2)], [2.0, law.cdf(2.0)]]
    assert answer["parameters"] == {"aspect_ratio": 0.5, "scale": 1.0, "loc": 0.0}


@pytest.mark.parametrize(
    "arguments",
    [
        ("mp", "--aspect-ratio", "2"),
        ("generalized-mp", "--aspect-ratio", "0.1", "--atoms", "1,8", "--weights", "0.5,0.5"),
        ("descent-ascent", "--retain-ratio", "5", "--forget-ratio", "5", "--alpha", "0.5"),
        ("semicircle",),
        ("wachter", "--numerator-ratio", "0.5", "--denominator-ratio", "0.2"),
        ("jacobi", "--p", "1", "--n1", "3", "--n2", "5"),
        ("tracy-widom", "--dyson-index", "4", "--scaling", "stochastic_airy"),
        ("spiked", "--aspect-ratio", "0.5", "--spikes", "4,1.1"),
    ],
)
def test_every_law_describes_itself(arguments):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.output)
    assert {"edges", "atoms", "mean", "variance"} <= set(answer)
    plain = run(*arguments)
    assert "mean:" in plain.output and "edges:" in plain.output


def strict(text):
    """Read JSON as the standard has it, without NaN and Infinity."""

    def refuse(word):
        raise ValueError(word)

    return json.loads(text, parse_constant=refuse)


def test_values_that_json_lacks_are_named():
    result = run("tracy-widom", "--dyson-index", "2", "--ppf", "0", "--json")
    assert strict(result.output)["ppf"] == [[0.0, "-Infinity"]]
    result = run("mp", "--aspect-ratio", "0.5", "--cdf", "nan", "--json")
    assert strict(result.output)["cdf"] == [[None, None]]
    result = run("spiked", "--aspect-ratio", "0.5", "--spikes", "4,1.1", "--json")
    assert strict(result.output)["outliers"] == [pytest.approx(14 / 3), None]


def test_every_law_has_a_command_with_its_parameters():
    listed = run("--help").output
    for name in laws.__all__:
        cls = getattr(laws, name)
        if not inspect.isclass(cls) or not issubclass(cls, laws.Law) or inspect.isabstract(cls):
            continue
        dashed = re.sub("(?<=[a-z])(?=[A-Z])", "-", name).lower().replace("marchenko-pastur", "mp")
        parameters = inspect.signature(cls).parameters.values()
        if any("Law" in str(p.annotation) for p in parameters):
            continue  # built from other laws: no command
        assert f" {dashed} " in listed
        help_text = run(dashed, "--help").output
        for p in parameters:
            assert ("--" + p.name.replace("_", "-") in help_text) == (p.kind is not p.KEYWORD_ONLY)


@pytest.mark.parametrize(
    "arguments", [("mp", "--aspect-ratio", "2"), ("tracy-widom", "--dyson-index", "1")]
)
def test_plot(tmp_path, arguments):
    path = tmp_path / "law.png"
    result = run(*arguments, "--plot", str(path))
    assert result.exit_code == 0 and path.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mp",), "Missing option '--aspect-ratio'"),
        (("mp", "--aspect-ratio", "-1"), "aspect_ratio must lie in [1e-150, 1e+150], got -1.0"),
        (("mp", "--aspect-ratio", "1", "--alpha", "0.5"), "No such option '--alpha'"),
        (("mp", "--aspect-ratio", "1", "--ppf", "2"), r"q must lie in [0, 1], got 2.0"),
        (("tracy-widom", "--dyson-index", "-3"), "dyson_index must"),
        (("spiked", "--aspect-ratio", "1", "--spikes", "a,b"), "comma-separated numbers"),
        (("cauchy",), "'cauchy' is not one of"),
    ],
)
def test_usage_errors(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
