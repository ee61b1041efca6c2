"""Where a network is linear in its weights, predicted runs are the real ones, whatever is asked."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from rmtstab import bridge  # noqa: E402

functional = torch.nn.functional
CLASSES, SIZES = 4, (9, 4, 3)
WEIGHT = torch.tensor([0.2, 1.0, 3.0, 0.7], dtype=torch.float64)
LOSSES = {
    "mean": torch.nn.CrossEntropyLoss(),
    "sum": torch.nn.CrossEntropyLoss(reduction="sum"),
    "weighted": torch.nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.1),
    "ignoring": torch.nn.CrossEntropyLoss(ignore_index=0),
    "own": lambda f, y: functional.cross_entropy(f, y, weight=WEIGHT),
    "log-probabilities": lambda f, y: functional.nll_loss(functional.log_softmax(f, 1), y),
}
CURVES = [
    f"{part}_{kind}" for part in ("retain", "forget", "test") for kind in ("loss", "accuracy")
]


def npo(f, y):
    """Not convex, and no cross-entropy."""
    own = functional.log_softmax(f, 1).gather(1, y[:, None])[:, 0]
    return -functional.logsigmoid(-own).mean()


@given(
    seed=st.integers(0, 2**16),
    name=st.sampled_from(sorted(LOSSES)),
    forget_loss=st.sampled_from([None, npo]),
    scaled=st.booleans(),
    options=st.fixed_dictionaries(
        {
            "alpha": st.sampled_from([0.0, 0.3, 1.0]),
            "batch_size": st.tuples(st.integers(1, SIZES[0]), st.integers(1, SIZES[1])),
            "sampling": st.sampled_from(
                ["without_replacement", "with_replacement", "bernoulli", "shuffled"]
            ),
            "momentum": st.sampled_from([0.0, 0.6]),
            "weight_decay": st.sampled_from([0.0, 0.1]),
            "update": st.sampled_from(["simultaneous", "alternating"]),
            "schedule": st.sampled_from([None, [1.0, 0.5, 0.0, 2.0, 1.0, 1.0]]),
            "record_every": st.integers(1, 3),
        }
    ),
)
def test_predicted_runs_are_the_real_ones(seed, name, forget_loss, scaled, options):
    g = torch.Generator().manual_seed(seed)
    cuts = np.cumsum((0, *SIZES))
    x = torch.randn(cuts[-1], 3, generator=g, dtype=torch.float64)
    y = torch.randint(CLASSES, (cuts[-1],), generator=g)
    y[cuts[:-1]] = 1  # a set without a target that counts has no loss
    data = [(x[low:high], y[low:high]) for low, high in pairwise(cuts)]
    torch.manual_seed(seed)
    model = torch.nn.Linear(3, CLASSES).double()
    scale = {k: 0.5 + torch.rand_like(p) for k, p in model.named_parameters()} if scaled else None
    arguments = model, LOSSES[name], *data
    read = {"preconditioner": scale, "forget_loss": forget_loss}
    run = {"step_size": [0.05, 0.4], "steps": 6, "rng": seed, "replicas": 2, **options}
    predicted = bridge.linearise(*arguments, **read).run(**run)
    real = bridge.unlearn(*arguments, **read, **run)
    for curve in (*CURVES, "displacement"):
        np.testing.assert_allclose(
            getattr(predicted, curve), getattr(real, curve), rtol=1e-10, atol=1e-12, err_msg=curve
        )
    expected = LOSSES[name](model(data[0][0]), data[0][1]).item()
    np.testing.assert_allclose(real.retain_loss[..., 0], expected, rtol=1e-12)


@pytest.mark.parametrize("every", [1, 400])
def test_a_run_that_diverges_collapses_whatever_the_loss(every):
    """A loss of its own is no better than torch's of the same values: NaN is not 0."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(50, 6, generator=g, dtype=torch.float64)
    w = torch.randn(6, 1, generator=g, dtype=torch.float64)
    model = torch.nn.Linear(6, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(w.T + 0.01)
    data = (x[:40], x[:40] @ w), (x[40:], x[40:] @ w)
    settings = {"step_size": 20.0, "batch_size": (10, 5), "alpha": 0.3, "steps": 400, "rng": 0,
                "replicas": 2, "record_every": every}  # fmt: skip
    for loss in (torch.nn.MSELoss(), lambda f, t: ((f - t) ** 2).mean()):
        net = bridge.linearise(model, loss, *data)
        for runs in (net.run(**settings), bridge.unlearn(model, loss, *data, **settings)):
            assert runs.outcome.item() == "collapses"
            assert np.isinf(runs.retain_loss[:, -1]).all() and np.isinf(runs.displacement[0, -1])
