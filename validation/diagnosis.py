"""The evidence of the diagnosis: real runs on grids of cells, against six predictors.

    python validation/diagnosis.py [--networks NAME …] [--seed 0] [--brief | --refine] [--out FILE]

Each network gets a grid of 12 step sizes × 8 mixings. Its step sizes span a factor of 100, placed
where a prediction *with batches of its own* says that half of the cells collapse, so that both
outcomes are there to be told apart. Every cell is run for real twice, with two sets of batches, and
predicted from function space with these batches and with seven other sets, from frozen curvature,
by Φ's verdict, and from function space with the Jacobian read again at up to three points, with
these batches and with others.
``--brief`` runs each cell once and leaves out the rivals; ``--refine`` keeps the real runs of the
file and makes only the refined predictions again. What is kept is the step at which each run
forgot and collapsed; measures, rules fitted on them, thresholds and verdicts are those of
`rmtstab.claims.networks.diagnosis`, and ``python validation/write_diagnosis.py`` judges them and
writes the tables and the figure.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits
from torch.nn.functional import cross_entropy

from rmtstab import bridge
from rmtstab.bridge.architectures import ResidualBlock
from rmtstab.bridge.curves import OUTCOMES
from rmtstab.bridge.frozen import frozen_curvature
from rmtstab.bridge.set_loss import SetLoss

SHAPE, STEPS, BATCHES, SPAN = (12, 8), 150, (16, 8), 100.0
REAL, OTHERS = 2, 7  # real runs a cell; predicted runs with batches of their own
ANY = 1e9  # a tolerance
ALPHAS = np.linspace(0.0, 1.0, SHAPE[1])
LOSS = torch.nn.CrossEntropyLoss()
OUT = Path(__file__).parents[1] / "docs" / "evidence" / "diagnosis.json"


class Network(NamedTuple):
    """What is trained, on what, to which loss, and what is forgotten."""

    kind: str
    data: str
    forget: str
    tolerance: float
    n: int


NETWORKS = {
    "mlp-random": Network("mlp", "digits", "random", 1e-2, 160),
    "mlp-random-tight": Network("mlp", "digits", "random", 1e-4, 160),
    "mlp-mislabelled": Network("mlp", "digits", "mislabelled", 1e-2, 200),
    "mlp-tumours": Network("mlp", "tumours", "random", 1e-2, 500),
    "cnn-random": Network("cnn", "digits", "random", 1e-2, 200),
    "cnn-class": Network("cnn", "digits", "class", 1e-2, 150),
    "cnn-class-tight": Network("cnn", "digits", "class", 1e-4, 150),
    "transformer-random": Network("transformer", "digits", "random", 1e-2, 120),
    "residual-random": Network("residual", "digits", "random", 1e-2, 100),
    "residual-class": Network("residual", "digits", "class", 1e-2, 120),
}


def data_of(name, forget, n, rng):
    """Inputs and labels, retain first, and the size of the retain set."""
    load = load_digits if name == "digits" else load_breast_cancer
    x, y = load(return_X_y=True)
    x = x / 16.0 if name == "digits" else (x - x.mean(0)) / x.std(0)
    order = rng.permutation(len(y))
    x, y = x[order], y[order].copy()
    n_forget = n // 5
    if forget == "class":
        out = np.flatnonzero(y == 3)[:n_forget]
        kept = np.flatnonzero(y != 3)[: n - len(out)]
    else:
        kept, out = np.arange(n - n_forget), np.arange(n - n_forget, n)
    if forget == "mislabelled":
        y[out] = (y[out] + 1 + rng.integers(y.max(), size=len(out))) % (y.max() + 1)
    rows = np.concatenate([kept, out])
    return torch.tensor(x[rows], dtype=torch.float32), torch.tensor(y[rows]), len(kept)


class Patches(torch.nn.Module):
    """A one-block transformer on the rows of an 8 × 8 image."""

    def __init__(self, classes):
        super().__init__()
        self.embed = torch.nn.Linear(8, 24)
        self.place = torch.nn.Parameter(0.1 * torch.randn(8, 24))
        self.block = torch.nn.TransformerEncoderLayer(24, 3, 48, dropout=0.0, batch_first=True)
        self.head = torch.nn.Linear(24, classes)

    def forward(self, x):
        """Logits of 64 pixels as eight tokens."""
        return self.head(self.block(self.embed(x.view(-1, 8, 8)) + self.place).mean(dim=1))


def model_of(kind, features, classes):
    """An untrained network on flat inputs."""
    if kind == "mlp":
        layers = [torch.nn.Linear(features, 80), torch.nn.ReLU(), torch.nn.Linear(80, 80)]
        return torch.nn.Sequential(*layers, torch.nn.ReLU(), torch.nn.Linear(80, classes))
    if kind == "transformer":
        return Patches(classes)
    shape = torch.nn.Unflatten(1, (1, 8, 8))
    if kind == "cnn":
        return torch.nn.Sequential(
            shape, torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
            torch.nn.Conv2d(8, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
            torch.nn.Flatten(), torch.nn.Linear(64, classes),
        )  # fmt: skip
    return torch.nn.Sequential(  # ResNet-8 at half its width
        shape, torch.nn.Conv2d(1, 8, 3, padding=1, bias=False), torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(), ResidualBlock(8, 8, 1), ResidualBlock(8, 16, 2),
        ResidualBlock(16, 32, 2), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        torch.nn.Linear(32, classes),
    )  # fmt: skip


def train(model, x, y, tolerance):
    """Adam to a training loss, in train mode; batch statistics are then settled and frozen."""
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(3000):
        optimiser.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        optimiser.step()
        if float(loss.detach()) < tolerance:
            break
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
    with torch.no_grad():
        model(x)
    model.eval()
    for _ in range(3000):
        with torch.enable_grad():
            loss = cross_entropy(model(x), y)
            if float(loss.detach()) < tolerance:
                break
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return float(loss.detach())


class Frozen:
    """Cross-entropy whose gradient is its expansion at w*: ``∇ℓ_i + ∇²ℓ_i (f − f*)``.

    Targets are (labels, f*, ∇ℓ_i, ∇²ℓ_i): what is recorded is the true loss.
    """

    normalised, has_accuracy = True, True

    def __init__(self, loss):
        self.loss = loss
        self.batch_weights = loss.batch_weights

    def masses(self, targets):
        """As the loss."""
        return self.loss.masses(targets[0])

    def values(self, outputs, targets):
        """As the loss."""
        return self.loss.values(outputs, targets[0])

    def accuracy(self, outputs, targets):
        """As the loss."""
        return self.loss.accuracy(outputs, targets[0])

    def gradients(self, outputs, targets):
        """The expansion at w*."""
        _, start, slope, curvature = targets
        return slope + torch.einsum("nij,nj->ni", curvature, outputs - start)


def frozen_runs(net, settings):
    """Runs under the outputs' quadratic loss at w*: the network and its loss both linearised."""
    losses = []
    for loss, part, outputs, _ in net.trained():
        root = loss.roots(outputs, part.targets).dense()
        slope = loss.gradients(outputs, part.targets)
        targets = (part.targets, outputs, slope, root @ root.transpose(1, 2))
        losses.append(SetLoss(Frozen(loss), targets))
    fixed = copy.copy(net)
    fixed.space = replace(net.space, losses=(*losses, None))
    return fixed.run(**settings)


def escapes(net, etas):
    """Φ's verdict in each cell: the mean's bound where it says escape, which is every α > 0.

    ``ρ(Φ) ≥ max(1 − ηλ)²`` over the mean curvature's eigenvalues λ, so that one negative λ
    decides. At α = 0 the verdict is SGD's own threshold; cells that the mean leaves open are
    decided by the exact growth factor.
    """
    problem = net.problem()
    threshold = frozen_curvature(net, BATCHES[0], "without_replacement").sgd_step_size
    found = np.zeros(SHAPE, dtype=bool)
    for column, alpha in enumerate(ALPHAS):
        if alpha == 0.0:
            found[:, column] = etas[:, 0] > threshold
            continue
        dyn = problem.dynamics(step_size=1.0, batch_size=BATCHES, alpha=float(alpha))
        mean = np.asarray(dyn.mean_eigenvalues)
        for row, eta in enumerate(etas[:, 0]):
            certain = np.max((1.0 - eta * mean) ** 2) > 1.0 + 1e-12
            found[row, column] = certain or (
                problem.dynamics(float(eta), BATCHES, float(alpha)).growth_factor() > 1.0
            )
    return found


def grid_of(net):
    """Step sizes, shape (12, 1), such that half of the cells collapse in a prediction."""
    tops = 10.0 ** np.arange(-2.5, 1.01, 0.25)
    shares = []
    for top in tops:
        etas = top * np.geomspace(1.0 / SPAN, 1.0, SHAPE[0] // 2)[:, None]
        run = net.run(etas, BATCHES, ALPHAS, STEPS, replicas=1, rng=99, record_every=5)
        shares.append(np.isfinite(run.collapse_step).mean())
    top = tops[np.argmin(np.abs(np.array(shares) - 0.5))]
    return top * np.geomspace(1.0 / SPAN, 1.0, SHAPE[0])[:, None]


def majority(steps):
    """First step by which more than half of the runs (the last axis) have turned."""
    return np.sort(steps, axis=-1)[..., steps.shape[-1] // 2]


def listed(values):
    """Nested lists for JSON; −1 for a step that never comes."""
    return np.where(np.isinf(values), -1, values).astype(int).tolist()


def trained(name, seed):
    """The model of a network, its training loss, and its retain and forget set."""
    spec = NETWORKS[name]
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    x, y, cut = data_of(spec.data, spec.forget, spec.n, rng)
    model = model_of(spec.kind, x.shape[1], int(y.max()) + 1)
    loss = train(model, x, y, spec.tolerance)
    return model, loss, ((x[:cut], y[:cut]), (x[cut:], y[cut:]))


def refined(net, row):
    """Steps and flags with the Jacobian read again where the runs go."""
    settings = {
        "step_size": np.array(row["step_sizes"])[:, None], "batch_size": BATCHES, "alpha": ALPHAS,
        "steps": STEPS, "rng": 1, "replicas": 1,
    }  # fmt: skip
    net = net.refine(net.run(**settings))
    run = net.run(**settings)
    check = net.check(run)
    row["forgetting"]["refined"] = listed(run.forget_step)
    row["collapse"]["refined"] = listed(run.collapse_step)
    row["points"] = len(net.space.bends)
    row["flags"] = {
        name: getattr(check, name).astype(int).tolist()
        for name in ("beyond", "fragile", "tips", "drifts", "leaps")
    }


def elsewhere(net, row):
    """Runs with batches of their own, the Jacobian read again where the first of them goes.

    More than the median is made of: by any two of them, taken for the real ones, the rest are
    judged as a right theory would be.
    """
    settings = {
        "step_size": np.array(row["step_sizes"])[:, None], "batch_size": BATCHES, "alpha": ALPHAS,
        "steps": STEPS, "rng": 2,
    }  # fmt: skip
    net = net.refine(net.run(replicas=1, **settings))
    run = net.run(replicas=OTHERS + REAL, **settings)
    for event, attribute in (("forgetting", "forget_step"), ("collapse", "collapse_step")):
        steps = getattr(run, attribute)
        row[event]["refined_runs"] = listed(steps)
        row[event]["refined_other"] = listed(majority(steps[..., :OTHERS]))


def brief(name, seed):
    """One real run a cell, the same batches predicted, and nothing else."""
    model, loss, sets = trained(name, seed)
    clock = Clock()
    net = bridge.linearise(model, LOSS, *sets)
    etas = grid_of(net)
    settings = {
        "step_size": etas, "batch_size": BATCHES, "alpha": ALPHAS, "steps": STEPS, "rng": 1,
        "replicas": 1,
    }  # fmt: skip
    runs = {
        "real": bridge.unlearn(model, LOSS, *sets, keep_final=False, **settings),
        "same": net.run(**settings),
    }
    clock.lap("real runs and one predicted run a cell")
    row = heading(name, seed, model, loss, sets, etas)
    for event, attribute in (("forgetting", "forget_step"), ("collapse", "collapse_step")):
        row[event] = {kind: listed(getattr(run, attribute)) for kind, run in runs.items()}
    refined(net, row)
    clock.lap("refined")
    return {**row, "cpu_seconds": clock.laps}


def heading(name, seed, model, loss, sets, etas):
    """What was trained and which grid it was given."""
    return {
        "network": name, **NETWORKS[name]._asdict(), "seed": seed, "loss": loss,
        "parameters": sum(p.numel() for p in model.parameters()), "n_forget": len(sets[1][1]),
        "step_sizes": etas[:, 0].tolist(), "alphas": ALPHAS.tolist(), "steps": STEPS,
        "batch_size": BATCHES,
    }  # fmt: skip


def again(row):
    """A row with its refined predictions made again, its real runs kept."""
    model, _, sets = trained(row["network"], row["seed"])
    clock = Clock()
    net = bridge.linearise(model, LOSS, *sets)
    refined(net, row)
    clock.lap("refined")
    if "other" in row["collapse"]:
        elsewhere(net, row)
        clock.lap("refined, other batches")
    return {**row, "cpu_seconds": {**row["cpu_seconds"], **clock.laps}}


def examine(name, seed):
    """One network: steps of forgetting and collapse in every cell, real and predicted."""
    model, loss, sets = trained(name, seed)
    clock = Clock()
    net = bridge.linearise(model, LOSS, *sets)
    clock.lap("reading")
    etas = grid_of(net)
    clock.lap("grid")
    settings = {
        "step_size": etas, "batch_size": BATCHES, "alpha": ALPHAS, "steps": STEPS, "rng": 1,
    }  # fmt: skip
    same = net.run(replicas=1, **settings)
    clock.lap("one predicted run a cell")
    predicted = net.run(replicas=REAL + OTHERS, **settings)
    clock.lap("predicted runs")
    frozen = frozen_runs(net, {**settings, "replicas": REAL})
    phi = escapes(net, etas)
    clock.lap("frozen curvature")
    check = net.check(same, tolerance=ANY)  # every point is looked at; judged by any tolerance
    clock.lap("check")
    print(name, "collapse predicted in", np.isfinite(same.collapse_step).mean(), flush=True)
    real = bridge.unlearn(model, LOSS, *sets, replicas=REAL, keep_final=False, **settings)
    clock.lap("real runs")
    events = {}
    for event, attribute in (("forgetting", "forget_step"), ("collapse", "collapse_step")):
        steps = getattr(predicted, attribute)
        events[event] = {
            "real": listed(getattr(real, attribute)),
            "same": listed(steps[..., :REAL]),
            "other": listed(majority(steps[..., REAL:])),
            "frozen": listed(getattr(frozen, attribute)),
        }
    row = {
        **heading(name, seed, model, loss, sets, etas), **events,
        "phi": phi.astype(int).tolist(), "check_steps": check.steps.tolist(),
        "difference": np.nan_to_num(check.difference, nan=9.0, posinf=9.0).round(3).tolist(),
        "neighbours": [[[OUTCOMES.index(o) for o in cell] for cell in row]
                       for row in check.neighbours],
    }  # fmt: skip
    refined(net, row)
    clock.lap("refined")
    elsewhere(net, row)
    clock.lap("refined, other batches")
    return {**row, "cpu_seconds": clock.laps}


class Clock:
    """CPU seconds of this process between laps."""

    def __init__(self):
        self.laps, self.last = {}, time.process_time()

    def lap(self, name):
        """Name what was done since the last lap."""
        now = time.process_time()
        self.laps[name], self.last = round(now - self.last, 1), now


def write(rows, path):
    """One line a network and field: a file that can be read and compared."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = [
        "{" + ",\n ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in row.items()) + "}"
        for row in rows
    ]
    path.write_text("[" + ",\n".join(fields) + "]\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--brief", action="store_true", help="No rival predictors.")
    parser.add_argument("--refine", action="store_true", help="Keep the real runs.")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    kept = json.loads(arguments.out.read_text()) if arguments.out.exists() else []
    found = {(row["network"], row["seed"]): row for row in kept}
    for chosen in arguments.networks:
        key = chosen, arguments.seed
        if arguments.refine:
            found[key] = again(found[key])
        else:
            found[key] = (brief if arguments.brief else examine)(*key)
        print(*key, found[key]["cpu_seconds"], flush=True)
        write(list(found.values()), arguments.out)
