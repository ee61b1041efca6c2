"""The checker proves true statements, refuses false ones and altered files, and shares no code."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from rmtstab.cli import main
from rmtstab.verification import seal, verify
from tests import naive

pytest.importorskip("flint")
SAMPLINGS = ("bernoulli", "without_replacement", "with_replacement")


def hexed(value):
    return [hexed(v) for v in value] if isinstance(value, list) else float(value).hex()


def content(statement, bound, factors, offsets, sizes, x, **how):
    how = {"step": 0.2, "alpha": 0.1, "decay": 0.0, "batch": (2, 1), "sampling": SAMPLINGS[1]} | how
    return {
        "statement": statement, "bound": float(bound).hex(), "step_size": how["step"].hex(),
        "alpha": how["alpha"].hex(), "weight_decay": how["decay"].hex(),
        "sampling": how["sampling"], "sizes": list(sizes), "batch_sizes": hexed(list(how["batch"])),
        "offsets": list(offsets), "factors": hexed(factors.tolist()), "witness": hexed(x.tolist()),
    }  # fmt: skip


def case(seed, outputs=1, **how):
    """Factors, ρ by the dense operator, and its top eigenmatrix, positive definite."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((7, outputs, 3)) / np.sqrt(outputs)
    h = np.einsum("nci,ncj->nij", z, z)
    step, alpha = how.get("step", 0.2), how.get("alpha", 0.1)
    phi = naive.second_moment(
        h[:4], h[4:], step, how.get("batch", (2, 1)), alpha,
        how.get("sampling", SAMPLINGS[1]), how.get("decay", 0.0),
    )  # fmt: skip
    values, vectors = np.linalg.eigh(0.5 * (phi + phi.T))
    x = vectors[:, -1].reshape(3, 3)
    x = 0.5 * (x + x.T)
    x *= np.sign(np.trace(x))
    columns = z.reshape(-1, 3).T
    return columns, list(range(0, 7 * outputs + 1, outputs)), (4, 3), x, values[-1], phi


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_true_statements_are_proved_and_false_ones_are_not(sampling, outputs, decay):
    how = {"sampling": sampling, "decay": decay}
    factors, offsets, sizes, x, rho, _ = case(1, outputs, **how)
    smooth = x + 1e-9 * np.eye(3) * np.trace(x)
    for shift, upper, lower in ((1e-6, True, False), (-1e-6, False, True)):
        bound = rho * (1 + shift)
        found = verify(
            seal(content("growth < bound", bound, factors, offsets, sizes, smooth, **how))
        )
        assert found.proved == upper
        found = verify(seal(content("growth >= bound", bound, factors, offsets, sizes, x, **how)))
        assert found.proved == lower


def test_a_bound_too_tight_for_128_bits_raises_the_precision():
    one = np.eye(1)
    tight = content("growth < bound", 0.25, 0.5 * np.sqrt(2) * one, [0, 1], (1, 0), one,
                    step=1.0, alpha=0.0, batch=(1, 1))  # fmt: skip
    # A² is not ½ exactly: the growth is beside ¼ by 1e-17, on a side that balls can tell
    a = float.fromhex(tight["factors"][0][0])
    from fractions import Fraction

    exact = (1 - Fraction(a) ** 2) ** 2
    assert verify(seal(tight)).proved == (exact < Fraction(1, 4))


def test_exactly_marginal_is_not_proved_below_but_is_above():
    one = np.eye(1)
    how = {"step": 2.0, "alpha": 0.0, "batch": (1, 1)}
    for statement, proved in (("growth < bound", False), ("growth >= bound", True)):
        assert (
            verify(seal(content(statement, 1.0, one, [0, 1], (1, 0), one, **how))).proved == proved
        )


def test_an_indefinite_witness_proves_nothing():
    factors, offsets, sizes, _, rho, _ = case(2)
    bad = np.diag([1.0, 1.0, -1.0])
    found = verify(seal(content("growth < bound", 10 * rho, factors, offsets, sizes, bad)))
    assert not found and "X is not positive definite" in found.reason
    zero = np.zeros((3, 3))
    assert not verify(seal(content("growth >= bound", 0.0, factors, offsets, sizes, zero)))


def good():
    factors, offsets, sizes, x, rho, _ = case(3)
    x = x + 1e-6 * np.eye(3)
    return seal(content("growth < bound", 1.01 * rho, factors, offsets, sizes, x))


@pytest.mark.parametrize("key", ["bound", "step_size", "sampling", "factors", "witness", "sizes"])
def test_an_altered_file_is_refused(key):
    whole = json.loads(json.dumps(good()))
    assert verify(whole)
    value = whole[key]
    whole[key] = {
        "bound": (0.5).hex(), "step_size": (0.01).hex(), "sampling": "bernoulli",
        "factors": [row[::-1] for row in value] if key == "factors" else None,
        "witness": hexed(np.eye(3).tolist()), "sizes": [3, 4],
    }[key]  # fmt: skip
    with pytest.raises(ValueError, match="certificate was altered"):
        verify(whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bound": "nan"}, "bound must hold hexadecimal floats"),
        ({"bound": "0x1p99999"}, "bound must be finite"),
        ({"bound": 0.5}, "bound must hold hexadecimal floats"),
        ({"alpha": (1.5).hex()}, r"alpha must lie in \[0, 1\]"),
        ({"step_size": (-1.0).hex()}, "must be >= 0"),
        ({"sizes": [4, True]}, "sizes must hold integers"),
        ({"sizes": [4, 10**9]}, "sizes must hold integers in"),
        ({"sizes": [4]}, "sizes must be a pair"),
        ({"offsets": [0, 1]}, "offsets must list 8 integers"),
        ({"offsets": [0, 2, 1, 3, 4, 5, 6, 7]}, "offsets must rise"),
        ({"offsets": [0, 1, 2, 3, 4, 5, 6, 9]}, "factors must have rows of 9"),
        ({"witness": hexed([[1, 2, 0], [0, 1, 0], [0, 0, 1]])}, "witness must be symmetric"),
        ({"batch_sizes": hexed([9.0, 1.0])}, "batch_sizes must fit"),
        ({"batch_sizes": hexed([1.5, 1.0])}, "batch_sizes must fit"),
        ({"sampling": "shuffled"}, "sampling must be one of"),
        ({"statement": "growth = bound"}, "statement must be one of"),
        ({"more": 1}, "exactly its fields"),
    ],
)
def test_malformed_certificates(change, message):
    with pytest.raises(ValueError, match=message):
        verify(seal({**good(), **change}))


def test_files_that_are_none(tmp_path):
    for text, message in (("", "JSON file"), ("[1]", "JSON object"), ("{}", "exactly its fields"),
                          ("[" * 100_000, "JSON file"), ("\x00", "JSON file")):  # fmt: skip
        path = tmp_path / "c.json"
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            verify(path)
    with pytest.raises(TypeError, match="path or a dict"):
        verify(3)


def test_command_line(tmp_path):
    path = tmp_path / "certificate.json"
    path.write_text(json.dumps(good()))
    run = CliRunner().invoke(main, ["verify", str(path)])
    assert run.exit_code == 0 and run.output.startswith("proved: growth < ")
    false = good()
    path.write_text(json.dumps(seal({**false, "bound": (0.01).hex()})))
    run = CliRunner().invoke(main, ["verify", str(path)])
    assert run.exit_code == 1 and run.output.startswith("NOT proved")
    path.write_text(json.dumps({**false, "bound": (0.01).hex()}))
    run = CliRunner().invoke(main, ["verify", str(path)])
    assert run.exit_code == 2 and "altered" in run.output
