"""How often the diagnosis is right: real runs on grids of cells, against five predictors.

Run ``python validation/diagnosis.py --out FILE.json [--networks NAME …]``; prints one table.
Each network gets a grid of step sizes and mixings; every cell is run for real with one set of
batches and again with another, and predicted from function space with the same batches and with
others, from frozen curvature, by Φ's verdict, by the best rule ``η·α > c`` fitted on the cells
themselves, and by the majority. What counts is collapse, balanced over the two classes: a
majority vote scores .5, a rule fitted on the answers has the answers.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits
from torch.nn.functional import cross_entropy

from rmtstab import bridge
from rmtstab.bridge.set_loss import SetLoss

CELLS, STEPS, BATCHES = (12, 8), 150, (16, 8)
LOSS = torch.nn.CrossEntropyLoss()
# name: architecture, data, what is forgotten, training loss, n
NETWORKS = {
    "mlp-random": ("mlp", "digits", "random", 1e-2, 160),
    "mlp-class-tight": ("mlp", "digits", "class", 1e-4, 160),
    "mlp-mislabelled": ("mlp", "digits", "mislabelled", 1e-2, 160),
    "cnn-random": ("cnn", "digits", "random", 1e-2, 150),
    "cnn-class": ("cnn", "digits", "class", 1e-2, 150),
    "resnet8-random": ("resnet8", "digits", "random", 1e-2, 100),
    "transformer-random": ("transformer", "digits", "random", 1e-2, 120),
    "tumours-mlp": ("mlp", "tumours", "random", 1e-2, 200),
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
    return torch.nn.Sequential(shape, bridge.residual_net(8, channels=1, classes=classes))


def train(model, x, y, tolerance):
    """Adam to a training loss, in train mode; batch statistics are then settled and frozen."""
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


def frozen_collapse(net, etas, alphas, steps, rng):
    """Steps of collapse under the outputs' quadratic loss at w*."""
    losses = []
    for loss, part, outputs, _ in net.trained():
        root = loss.roots(outputs, part.targets).dense()
        slope = loss.gradients(outputs, part.targets)
        targets = (part.targets, outputs, slope, root @ root.transpose(1, 2))
        losses.append(SetLoss(Frozen(loss), targets))
    fixed = copy.copy(net)
    fixed.space = replace(net.space, losses=(*losses, None))
    run = fixed.run(etas, BATCHES, alphas, steps, replicas=1, rng=rng)
    return run.collapse_step[..., 0]


def escape_is_certain(problem, eta, alpha):
    """Whether the mean's bound puts ρ(Φ) above 1, which it does at every α > 0 here."""
    dyn = problem.dynamics(step_size=eta, batch_size=BATCHES, alpha=alpha)
    mean = np.max((1.0 - eta * np.asarray(dyn.mean_eigenvalues)) ** 2)
    return bool(mean > 1.0 + 1e-12)


def balanced(truth, said):
    """Mean of the two classes' shares of right verdicts; NaN where one class is empty."""
    parts = [
        np.mean(said[truth == side] == side) for side in (True, False) if (truth == side).any()
    ]
    return float(np.mean(parts)) if len(parts) == 2 else float("nan")


def time_ratio(real, predicted):
    """Quantiles of log₂ of predicted over real collapse steps, where both collapse."""
    both = np.isfinite(real) & np.isfinite(predicted) & (real > 0) & (predicted > 0)
    if not both.any():
        return None
    return np.quantile(np.log2(predicted[both] / real[both]), (0.1, 0.5, 0.9)).tolist()


def examine(name, seed):
    """One network: its row of the table."""
    kind, data, forget, tolerance, n = NETWORKS[name]
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    x, y, cut = data_of(data, forget, n, rng)
    model = model_of(kind, x.shape[1], int(y.max()) + 1)
    loss = train(model, x, y, tolerance)
    retain, forget_set = (x[:cut], y[:cut]), (x[cut:], y[cut:])
    clock = time.process_time()
    net = bridge.linearise(model, LOSS, retain, forget_set)
    reading = time.process_time() - clock
    etas = np.geomspace(3e-3, 1.0, CELLS[0])[:, None]
    alphas = np.linspace(0.0, 1.0, CELLS[1])
    clock = time.process_time()
    same = net.run(etas, BATCHES, alphas, STEPS, replicas=1, rng=1)
    predicting = time.process_time() - clock
    other = net.run(etas, BATCHES, alphas, STEPS, replicas=8, rng=3)
    clock = time.process_time()
    check = net.check(same)
    checking = time.process_time() - clock
    clock = time.process_time()
    common = {"step_size": etas, "batch_size": BATCHES, "alpha": alphas, "steps": STEPS}
    real = bridge.unlearn(
        model, LOSS, retain, forget_set, rng=1, replicas=1, keep_final=False, **common
    )
    running = time.process_time() - clock
    again = bridge.unlearn(
        model, LOSS, retain, forget_set, rng=2, replicas=1, keep_final=False, **common
    )
    times = real.collapse_step[..., 0]
    truth = np.isfinite(times)
    second = again.collapse_step[..., 0]
    frozen = frozen_collapse(net, etas, alphas, STEPS, 1)
    said = np.isfinite(same.collapse_step[..., 0])
    product = np.broadcast_to(etas * alphas, truth.shape)
    cuts = np.append(np.unique(product), np.inf)
    rule = max(balanced(truth, product >= c) for c in cuts)
    problem = net.problem()
    escapes = np.array(
        [[escape_is_certain(problem, float(e), float(a)) for a in alphas] for e in etas[:, 0]]
    )
    kept = ~check.flagged
    others = np.sort(other.collapse_step, axis=-1)[..., 4]
    return {
        "network": name, "parameters": sum(p.numel() for p in model.parameters()),
        "loss": loss, "collapsed": float(truth.mean()),
        "function space": balanced(truth, said),
        "outcome": float(np.mean(real.outcome == same.outcome)),
        "unflagged": balanced(truth[kept], said[kept]), "flagged": float(1 - kept.mean()),
        "beyond": float(check.beyond.mean()), "fragile": float(check.fragile.mean()),
        "wrong unflagged": int((truth != said)[kept].sum()), "wrong": int((truth != said).sum()),
        "other batches": balanced(truth, np.isfinite(others)),
        "real, other batches": balanced(truth, np.isfinite(second)),
        "frozen": balanced(truth, np.isfinite(frozen)), "phi": balanced(truth, escapes),
        "rule": rule, "majority": 0.5,
        "time": time_ratio(times, same.collapse_step[..., 0]),
        "time, other": time_ratio(times, others),
        "time, real other": time_ratio(times, second),
        "time, frozen": time_ratio(times, frozen),
        "cpu seconds": {
            "reading": reading, "runs": predicting, "check": checking, "real runs": running,
        },
    }  # fmt: skip


COLUMNS = (
    "function space", "unflagged", "flagged", "other batches", "real, other batches", "frozen",
    "phi", "rule", "majority",
)  # fmt: skip


def table(rows):
    """Markdown."""
    head = ["network", "weights", "collapsed", *COLUMNS, "log₂ time", "log₂ time, frozen"]
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    for row in rows:
        cells = [row["network"], f"{row['parameters']:,}", f"{row['collapsed']:.2f}"]
        cells += [f"{row[c]:.3f}" for c in COLUMNS]
        for key in ("time", "time, frozen"):
            q = row[key]
            cells.append("–" if q is None else f"{q[1]:.2f} [{q[0]:.2f}, {q[2]:.2f}]")
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" for line in lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    for chosen in arguments.networks:
        found.append(examine(chosen, arguments.seed))
        print(json.dumps(found[-1]), flush=True)
        if arguments.out is not None:
            arguments.out.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))
