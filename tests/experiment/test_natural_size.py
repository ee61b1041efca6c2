"""Maps at natural size, on a tiny network: what is predicted, and the predictions' own limits."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from rmtstab.experiment import PRESETS, natural_size  # noqa: E402 (needs torch)

TINY = dataclasses.replace(PRESETS["tiny"], natural_displacements=(1e-4, 0.3))
SPEC = {"data": "signal_plus_noise", "snr": 1.0, "forget": "balanced", "index": 0, "seed": 0}


def test_near_the_weights_the_linear_theory_is_exact_and_far_away_it_is_not():
    found = natural_size.describe(TINY, SPEC, "half_squared_error", "cnn", "cpu")
    near, far = (
        [abs(c["function_space"]["log_forget"] - c["real"]["log_forget"]) for c in m["cells"]]
        for m in found["maps"]
    )
    assert max(near) < 1e-2 and np.median(far) > 10 * np.median(near)
    assert found["maps"][0]["flipped"] < 0.01 < found["maps"][1]["flipped"]
    for m in found["maps"]:
        for c in m["cells"]:
            assert c["frozen"]["log_forget"] == c["function_space"]["log_forget"]
            assert c["scaled"]["log_forget"] != c["function_space"]["log_forget"] > -25.0
            assert all(p["level"] > m["displacement"] for p in c["along"])


def test_logistic_networks_are_trained_on_and_move_from_their_weights():
    preset = dataclasses.replace(TINY, natural_displacements=(0.0,))
    found = natural_size.describe(preset, SPEC, "logistic", "cnn", "cpu")
    assert found["training_loss"] < preset.natural_loss
    cells = found["maps"][0]["cells"]
    assert found["maps"][0]["flipped"] == 0.0
    assert any(c["travelled"] > 0.0 for c in cells)
    assert any(c["frozen"]["log_forget"] != c["function_space"]["log_forget"] for c in cells)


@pytest.mark.slow
def test_a_residual_network_on_textures():
    preset = dataclasses.replace(
        TINY, natural_displacements=(0.0, 0.01, 0.05, 0.2), natural_steps=4
    )
    spec = {**SPEC, "data": "textures", "snr": None, "forget": "random"}
    found = natural_size.describe(preset, spec, "cross_entropy", "resnet8", "cpu")
    assert found["training_loss"] < preset.natural_loss
    assert [m["displacement"] for m in found["maps"]] == [0.0, 0.005]  # its own
    assert found["maps"][0]["flipped"] is None and len(found["maps"][0]["cells"]) == 4
    passed = [level["level"] for c in found["maps"][1]["cells"] for level in c["along"]]
    assert all(level > 0.005 for level in passed)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"alphas": 0.5}, ValueError, r"alphas must have 1 axes, got shape \(\)"),
        ({"alphas": [1.5]}, ValueError, r"alphas must lie in \[0, 1\], got 1.5"),
        (
            {"displacements": 0.1},
            TypeError,
            "displacements must be a list, tuple or array, got 0.1",
        ),
        ({"levels": [0.1, 0.0]}, ValueError, r"levels\[1\] must be > 0"),
        ({"record_every": 0}, ValueError, "record_every must"),
        ({"displacements": [-1.0]}, ValueError, r"displacements\[0\] must be >= 0"),
        ({"batch_sizes": 4}, TypeError, "batch_sizes must be a list, tuple or array, got 4"),
        ({"batch_sizes": [4]}, TypeError, r"batch_sizes\[0\] must be a list or tuple, got 4"),
        ({"step_size": 0.0}, ValueError, "step_size must be > 0"),
        ({"steps": 0}, ValueError, "steps must be >= 1"),
        ({"replicas": 1.5}, TypeError, "replicas must be an integer, got 1.5"),
        ({"seed": "a"}, TypeError, "seed must be a numpy Generator or an integer seed"),
        ({"seed": [-1]}, ValueError, r"seed\[0\] must be >= 0"),
        ({"forget": None}, ValueError, "forget must hold at least one sample, got 0"),
    ],
)
def test_scalars_and_what_is_out_of_range_are_refused_by_name(change, error, message):
    x = torch.eye(6, dtype=torch.float64)
    given = {
        "model": torch.nn.Linear(6, 1, bias=False, dtype=torch.float64),
        "loss": natural_size.LOSSES["half_squared_error"], "retain": (x[:4], x[:4, :1]),
        "forget": (x[4:], x[4:, :1]), "step_size": 0.1, "batch_sizes": [(2, 1)], "alphas": [0.3],
        "displacements": [0.1], "steps": 2, "replicas": 2, "seed": 0,
    } | change  # fmt: skip
    with pytest.raises(error, match=message):
        natural_size.displaced_maps(**given)
