"""Derivatives that are not finite where outputs are: refused by name at every entry point."""

import numpy as np
import pytest
import torch

from rmtstab import bridge
from rmtstab.bridge.derivatives import DerivativeError

LOSS = torch.nn.CrossEntropyLoss()
SET = "got NaN or infinity in 'first.weight' at {} 5, where its outputs are finite"


class Normed(torch.nn.Module):
    """Divides by 1 + a norm: finite at 0, where the norm has no derivative."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(4, 6, bias=False, dtype=torch.float64)
        self.second = torch.nn.Linear(6, 3, dtype=torch.float64)

    def forward(self, x):
        h = self.first(x)
        return self.second(h / (1.0 + h.square().sum(1, keepdim=True).sqrt()))


class Powered(Normed):
    """|h|^1.5: a gradient at 0, and no curvature."""

    def forward(self, x):
        return self.second(self.first(x).abs() ** 1.5)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Normed()


@pytest.fixture(scope="module")
def sets():
    x = torch.randn(12, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[5] = 0.0
    y = torch.arange(12) % 3
    return (x[:8], y[:8]), (x[8:], y[8:])


@pytest.mark.parametrize("reduction", ["auto", "factors", "gram", "sketch"])
def test_a_problem_names_set_sample_and_weight(model, sets, reduction):
    with pytest.raises(ValueError, match=SET.format("retain sample")):
        bridge.problem(model, LOSS, *sets, reduction=reduction)
    with pytest.raises(ValueError, match=SET.format("forget sample")):
        bridge.problem(model, LOSS, *reversed(sets), reduction=reduction)


@pytest.mark.parametrize(
    "read",
    [
        lambda model, retain, forget: bridge.linearise(model, LOSS, retain, forget),
        lambda model, retain, forget: bridge.diagnose(
            model, LOSS, retain, forget, step_size=0.1, batch_size=2
        ),
        lambda model, retain, _: bridge.sample_factors(model, LOSS, retain),
        lambda model, retain, _: bridge.largest_hessian_eigenvalue(model, LOSS, retain),
        lambda model, retain, _: bridge.gauss_newton_operator(model, LOSS, retain) @ np.ones(45),
        lambda model, retain, forget: (
            bridge.mix_hessian_operator(model, LOSS, retain, forget, 0.5) @ np.ones(45)
        ),
        lambda model, retain, _: bridge.sample_sharpness(model, LOSS, retain),
        lambda model, retain, _: bridge.curvature_gap(model, LOSS, retain),
        lambda model, retain, _: bridge.jacobian_gram(
            bridge.Network(model), bridge.read_samples("retain", retain)
        ),
    ],
)
def test_every_entry_point_refuses(model, sets, read):
    with pytest.raises(DerivativeError, match=SET.format("(retain |data |)sample")):
        read(model, *sets)


def test_the_test_set_is_named(model, sets):
    with pytest.raises(DerivativeError, match=SET.format("test sample")):
        bridge.linearise(model, LOSS, sets[1], None, sets[0])


def test_second_derivatives_are_told_from_first(sets):
    torch.manual_seed(0)
    model = Powered()
    assert bridge.linearise(model, LOSS, *sets).gram.shape == (36, 36)
    with pytest.raises(DerivativeError, match="second derivatives are finite"):
        bridge.hessian_operator(model, LOSS, sets[0]) @ np.ones(45)


def test_a_vector_that_is_not_finite_is_not_the_models_fault(sets):
    model = torch.nn.Linear(4, 3, dtype=torch.float64)
    H = bridge.hessian_operator(model, LOSS, sets[0])
    assert np.isnan(H @ np.full(15, np.nan)).any()
