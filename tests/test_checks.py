"""Every validator names the argument, the rule and the value."""

import re
from pathlib import Path

import numpy as np
import pytest

from rmtstab import _checks


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: _checks.real("alpha", 1.5, low=0, high=1),
            ValueError,
            r"alpha must lie in \[0, 1\], got 1.5",
        ),
        (lambda: _checks.real("snr", -1, low=0), ValueError, "snr must be >= 0 and finite, got -1"),
        (lambda: _checks.real("q", np.nan), ValueError, "q must be finite, got nan"),
        (lambda: _checks.real("q", "1"), TypeError, "q must be a real number, got '1'"),
        (lambda: _checks.real("q", True), TypeError, "q must be a real number"),
        (
            lambda: _checks.real("B", 9, low=0, high=8, low_open=True, high_label="n"),
            ValueError,
            r"B must lie in \(0, n=8\], got 9",
        ),
        (lambda: _checks.integer("seed", 1.0), TypeError, "seed must be an integer, got 1.0"),
        (
            lambda: _checks.integer("batch_size", 64, low=1, high=48, high_label="n_retain"),
            ValueError,
            r"batch_size must lie in \[1, n_retain=48\], got 64",
        ),
        (
            lambda: _checks.choice("loss", "hinge", ("mse",)),
            ValueError,
            "loss must be one of 'mse', got 'hinge'",
        ),
        (
            lambda: _checks.array("K", [1.0, np.inf]),
            ValueError,
            "K must be finite, got 1 NaN or infinite of 2",
        ),
        (lambda: _checks.array("K", ["a"]), TypeError, "K must hold real numbers"),
        (
            lambda: _checks.array("K", [1.0], ndim=2),
            ValueError,
            r"K must have 2 axes, got shape \(1,\)",
        ),
        (
            lambda: _checks.labels("labels", [1, 0], 2),
            ValueError,
            "labels must hold only -1 and \\+1, got",
        ),
        (lambda: _checks.labels("labels", [1], 2), ValueError, r"labels must have shape \(2,\)"),
        (
            lambda: _checks.generator("rng", None),
            TypeError,
            "rng must be a numpy Generator or an integer seed",
        ),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_seeds_of_any_generator_and_names_from_arrays_are_accepted():
    for entropy in (2**100, 2**200):
        source = _checks.generator("rng", entropy)
        assert source.random() == np.random.default_rng(entropy).random()
    names = np.array(["bernoulli", "with_replacement"])
    assert type(_checks.choice("sampling", names[0], names.tolist())) is str


def test_accepted_values_pass_through_as_float64():
    assert _checks.real("x", np.float32(0.5)) == 0.5
    assert _checks.integer("n", np.int64(3), low=0) == 3
    assert _checks.array("x", np.arange(3, dtype=np.int32)).dtype == np.float64
    assert _checks.array("x", np.array(2.0)).shape == ()


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (np.ma.masked, ValueError, "x must have no masked entries, got 1 of 1: drop them"),
        (np.timedelta64(1, "s"), TypeError, "x must be a real number"),
        (1 + 2j, TypeError, "x must be a real number"),
        (10**400, ValueError, "x must be finite, got an integer of 1329 bits"),
        (10**5000, ValueError, "x must be finite, got an integer of 16610 bits"),
    ],
    ids=["masked", "duration", "complex", "big", "huge"],
)
def test_what_only_looks_like_a_number_is_refused(value, error, message):
    with pytest.raises(error, match=message):
        _checks.real("x", value)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (np.ma.array([1, 2, 1e9], mask=[0, 0, 1]), ValueError, "no masked entries, got 1"),
        ([np.ma.array([1.0], mask=[1]), [2.0]], ValueError, "no masked entries, got 1"),
        (np.array([1], dtype="timedelta64[s]"), TypeError, "dtype timedelta64"),
        (np.array([1 + 2j]), TypeError, "dtype complex128"),
        ([[1.0], [1.0, 2.0]], TypeError, "x must be a rectangular array"),
        ([10**400], ValueError, "x must be finite, got 1 NaN or infinite of 1"),
        (["1", None], TypeError, "dtype object"),
        (np.array([np.longdouble("1e400")]), ValueError, "x must be finite, got 1"),
    ],
)
def test_what_only_looks_like_an_array_is_refused(value, error, message):
    with pytest.raises(error, match=message):
        _checks.array("x", value)


def test_tensors_without_axes_are_the_numbers_they_hold():
    torch = pytest.importorskip("torch")
    assert _checks.real("x", torch.tensor(0.25, requires_grad=True)) == 0.25
    whole = _checks.integer("n", torch.tensor(3))
    assert whole == 3 and type(whole) is int
    for value in (torch.tensor([0.25]), torch.tensor(True), torch.tensor(1j)):
        with pytest.raises(TypeError, match="x must be a real number, got "):
            _checks.real("x", value)


def test_a_masked_array_that_hides_nothing_and_a_matrix_are_plain_arrays():
    plain = _checks.array("x", np.ma.array([1.0, 2.0]))
    assert type(plain) is np.ndarray and plain.tolist() == [1.0, 2.0]
    assert type(_checks.array("x", np.asmatrix(np.eye(2)))) is np.ndarray


def test_a_fitting_array_is_returned_as_it_is():
    given = np.arange(6.0).reshape(2, 3)
    assert _checks.array("x", given) is given
    assert _checks.array("x", given.T).flags.c_contiguous


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: _checks.integer("n", 2**53 + 1), ValueError, r"n must lie within ±2\^53"),
        (lambda: _checks.seed("seed", 2**64), ValueError, r"seed must be below 2\^64, got"),
        (lambda: _checks.generator("rng", 10**400), ValueError, r"rng must be below 2\^1024, got"),
        (lambda: _checks.seed("seed", -1), ValueError, "seed must be >= 0"),
        (lambda: _checks.flag("gap", np.zeros(2)), TypeError, "gap must be True or False, got"),
        (lambda: _checks.flag("gap", 1), TypeError, "gap must be True or False, got 1"),
        (lambda: _checks.instance("ax", {}, dict, list), None, {}),
        (lambda: _checks.instance("ax", 1, dict, words="Axes"), TypeError, "ax must be a Axes"),
        (lambda: _checks.function("f", int), TypeError, "f must be a function"),
        (lambda: _checks.path("out", ""), ValueError, "out must be a path"),
        (lambda: _checks.path("out", 3), TypeError, "out must be a path, got 3"),
        (lambda: _checks.items("batch_size", 3, 2), TypeError, "batch_size must be a list or"),
        (lambda: _checks.items("batch_size", [1], 2), ValueError, "batch_size must hold 2 values"),
        (lambda: _checks.reals("t", (1, None), 2), TypeError, r"t\[1\] must be a real number"),
        (lambda: _checks.integers("n", (1, -1), 2), ValueError, r"n\[1\] must be >= 0"),
        (lambda: _checks.mapping("d", {1: 2}), TypeError, "d must be a dictionary with text keys"),
        (lambda: _checks.records("p", [{"x": 1}], ("x", "y")), ValueError, r"p\[0\] must have y"),
        (
            lambda: _checks.moderate("g", np.array([1e200])),
            ValueError,
            r"g must lie within ±1e\+100",
        ),
    ],
)
def test_kinds(call, error, message):
    if error is None:
        assert call() == message
    else:
        with pytest.raises(error, match=message):
            call()


# a check whose result is thrown away, of an argument, of a field or of one by its name
THROWN_AWAY = re.compile(
    r"^ +_checks\.(?:integers?|reals?|array|whole|seed|offsets|truths)\("
    r'(f?"[^"]+"|\w+), (?:self\.)?(?:\w+|getattr\([^()]*\))(?:, .*)?\)\n(?! *for )',
    re.MULTILINE,
)
UNUSED = {'"kappa"', '"scale * (1 + sqrt(aspect_ratio))**2, the upper edge,"'}


def test_numbers_are_used_as_their_checks_return_them():
    """A small unsigned integer that is kept as it came overflows in the sums made of it."""
    for text in ('"eta", eta, low=0.0)', '"n", self.n)', "name, getattr(self, name))"):
        assert THROWN_AWAY.search(f"    _checks.real({text}\n")
    assert not THROWN_AWAY.search('    n = _checks.integer("n", n)\n')
    package = Path(_checks.__file__).parent
    found = {
        f"{path.relative_to(package)}: {name}"
        for path in package.rglob("*.py")
        for name in THROWN_AWAY.findall(path.read_text())
        if name not in UNUSED
    }
    assert not found
