"""Plans against what then happens, memory budgets against the process's peak, sketches."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from rmtstab import bridge  # noqa: E402
from rmtstab.bridge import accumulation  # noqa: E402


@pytest.fixture(scope="module")
def small():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(12, 1, 8, 8, dtype=torch.float64, generator=generator)
    network = bridge.Network(bridge.convolutional_net(classes=3, seed=1).double())
    return network, bridge.read_samples("samples", (inputs, torch.zeros(12)))


def test_plan_names_every_route_and_what_fits(small):
    network, samples = small
    plan = bridge.plan(network, samples)
    assert plan.chosen == "layers"
    assert [route.name for route in plan.routes] == [
        "layers", "jacobian", "sketch 1000", "sketch 10000",
    ]  # fmt: skip
    text = str(plan)
    assert text.count("\n") == 4 and "6 weights by layer" in text and "yes" in text
    assert set(plan.orders) == set(network.names)
    assert all(route.memory > 0 and route.seconds > 0 for route in plan.routes)
    nothing = bridge.plan(network, samples, memory_budget=1e6)
    assert nothing.chosen is None and "no" in str(nothing)
    few = bridge.plan(network, samples, samples.take([0, 1]), n_functions=1)
    assert few.routes[0].memory < plan.routes[0].memory


ORDERED = {
    "separable": lambda: nn.Sequential(  # what ends in a sum over positions
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 40, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(40, 3),
    ),
    "not separable": lambda: nn.Sequential(  # the same layer, read position by position
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 40, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(640, 3),
    ),
    "residual": lambda: bridge.residual_net(8, channels=1),
    "shallow": lambda: bridge.convolutional_net(classes=3),
}  # fmt: skip


@pytest.mark.parametrize("kind", ORDERED)
def test_planned_orders_are_those_that_run(kind, monkeypatch):
    torch.manual_seed(0)
    inputs = torch.randn(6, 1, 8, 8)
    network = bridge.Network(ORDERED[kind]())
    samples = bridge.read_samples("samples", (inputs, torch.zeros(6)))
    planned = bridge.plan(network, samples).orders
    assert (planned.get("2.weight") == "separable") == (kind == "separable")
    inner, ran = accumulation._add_block, dict.fromkeys(planned, "jacobian")  # kept ones

    def spied(total, network, known, block, *rest):
        ran[block.name] = inner(total, network, known, block, *rest)
        return ran[block.name]

    monkeypatch.setattr(accumulation, "_add_block", spied)
    bridge.jacobian_gram(network, samples)
    assert planned == ran


def test_plan_of_the_closed_form():
    network = bridge.Network(bridge.TwoLayerReLUCNN(6, 3))
    inputs = torch.ones(4, 2, 6, dtype=torch.float64)
    samples = bridge.read_samples("samples", (inputs, torch.ones(4)))
    assert bridge.plan(network, samples).chosen == "closed form"


def test_sketch_is_unbiased_within_its_error_bar(small, monkeypatch):
    """Mean over seeds within 5 standard errors of the exact Gram, and spread as stated."""
    from rmtstab.bridge import sketching

    monkeypatch.setattr(sketching, "CHUNK", 5)
    monkeypatch.setattr(sketching, "PANEL", 500)  # some weights in slices of their rows
    network, samples = small
    exact = bridge.jacobian_gram(network, samples).numpy()
    sketches = [bridge.sketch(network, samples, 64, seed=seed) for seed in range(20)]
    draws = np.stack([sketch.gram().numpy() for sketch in sketches])
    bound = np.sqrt((np.outer(exact.diagonal(), exact.diagonal()) + exact**2) / 64)
    assert (np.abs(draws.mean(0) - exact) < 5 * bound / np.sqrt(20)).all()
    spread = (draws.std(0, ddof=1) / bound).mean()
    assert 0.5 < spread < 1.05  # the bound is attained by spread-out rows only
    ratio = sketches[0].standard_error() / bound
    assert 0.4 < ratio.mean() < 2.5
    assert sketches[0].relative_error == pytest.approx(np.sqrt(2 / 64))


def test_sketches_share_their_projection(small):
    network, samples = small
    whole = bridge.sketch(network, samples, 50, seed=3).factors
    part = bridge.sketch(network, samples.take([4, 2]), 50, seed=3).factors
    torch.testing.assert_close(part, whole[[4, 2]])
    roots = torch.full((12, 3, 1), 0.5, dtype=torch.float64)
    summed = bridge.sketch(network, samples, 50, roots=roots, seed=3).factors
    torch.testing.assert_close(summed[:, 0], 0.5 * whole.sum(1))
    with pytest.raises(ValueError, match="memory_budget must hold 36 x 1000"):
        bridge.sketch(network, samples, 1000, memory_budget=1e5)
    with pytest.raises(ValueError, match="size must be >= 1"):
        bridge.sketch(network, samples, 0)


BUDGETED = """
import torch
torch.set_num_threads(1)
from rmtstab import bridge
network = bridge.Network({model})
inputs = {inputs}
samples = bridge.read_samples("samples", (inputs, torch.zeros(len(inputs))))
bridge.jacobian_gram(network, samples.take([0, 1]))  # what is loaded or compiled once

def memory(key):
    for line in open("/proc/self/status"):
        if line.startswith(key):
            return 1024 * int(line.split()[1])

open("/proc/self/clear_refs", "w").write("5")  # forget the peak of what was imported or compiled
before = memory("VmRSS:")
gram = {call}
print(memory("VmHWM:") - before)
"""


PLANNED = """
planned = bridge.plan(network, samples, memory_budget=1.5e9)
print({route.name: route.memory for route in planned.routes}[{name!r}])
"""


@pytest.mark.slow
@pytest.mark.parametrize("route", ["layers", "jacobian", "sketch 1000"])
@pytest.mark.parametrize("net", ["convolutional", "recurrent"])
def test_planned_memory_bounds_what_runs(net, route):
    """Autograd's route took 1.3 times what was planned."""
    model, inputs = {
        "convolutional": ("bridge.residual_net(8)", "torch.randn(48, 3, 32, 32)"),
        "recurrent": ("bridge.Recurrent(10, width=96)", "torch.randint(0, 10, (48, 16))"),
    }[net]
    call = f"bridge.jacobian_gram(network, samples, memory_budget=1.5e9, route={route!r})"
    if route.startswith("sketch"):
        call = "bridge.sketch(network, samples, 1000, memory_budget=1.5e9)"
    before, after = BUDGETED.split("\nopen(")
    code = f"{before}{PLANNED.replace('{name!r}', repr(route))}\nopen({after}"
    code = code.replace("{model}", model).replace("{inputs}", inputs).replace("{call}", call)
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    planned, measured = (float(line) for line in result.stdout.split())
    assert 0 < measured <= planned, result.stdout
    assert planned <= 3.0 * measured + 1.5e8, result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "inputs", "call", "budget"),
    [
        (
            "bridge.residual_net(20)",
            "torch.randn(32, 3, 32, 32)",
            "bridge.jacobian_gram(network, samples, memory_budget={budget})",
            3.0e8,
        ),
        (
            "bridge.residual_net(20)",
            "torch.randn(32, 3, 32, 32)",
            "bridge.jacobian_gram(network, samples, memory_budget={budget})",
            6.0e8,
        ),
        (
            "bridge.Transformer(10, 64)",
            "torch.randint(0, 10, (32, 64))",
            "bridge.jacobian_gram(network, samples, memory_budget={budget})",
            3.0e8,
        ),
        (
            "bridge.Recurrent(10, width=64)",
            "torch.randint(0, 10, (32, 16))",
            "bridge.jacobian_gram(network, samples, memory_budget={budget})",
            2.0e8,
        ),
        (
            "bridge.residual_net(20)",
            "torch.randn(32, 3, 32, 32)",
            "bridge.sketch(network, samples, 1000, memory_budget={budget})",
            3.0e8,
        ),
    ],
)
def test_peak_memory_keeps_the_budget(model, inputs, call, budget):
    code = textwrap.dedent(BUDGETED).format(
        model=model, inputs=inputs, call=call.format(budget=budget)
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert 0 < float(result.stdout.split()[-1]) < budget, result.stdout
