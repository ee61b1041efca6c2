"""Function-space runs against their own matrix products; real runs; the whole diagnosis.

Run ``python validation/benchmarks/diagnosis.py [--small]``; CPU time of this process, best of
several, as ratios of one run on this machine. One thread.
"""

import argparse
import resource
import time

import numpy as np
import torch

from rmtstab import bridge
from rmtstab.bridge import function_space
from rmtstab.bridge.function_space import FunctionSpace
from rmtstab.bridge.run_plan import plan_runs
from rmtstab.bridge.set_loss import SetLoss
from rmtstab.bridge.softmax_loss import SoftmaxLoss
from rmtstab.ensembles import SignalPlusNoise


def cpu(call, repeats=3):
    """Best CPU seconds of ``call()``."""
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
    return best


def grid(n, steps):
    """96 cells × 8 replicas in function space, against the products that they need."""
    classes, cut = 10, 4 * n // 5
    rows = torch.randn(n * classes, 500, dtype=torch.float64) / 20
    gram = (rows @ rows.T).view(n, classes, -1)
    outputs, labels = torch.randn(n, classes).double(), torch.randint(classes, (n,))
    loss = SoftmaxLoss("cross entropy", (classes,))
    sets = SetLoss(loss, labels[:cut]), SetLoss(loss, labels[cut:]), None
    space = FunctionSpace(outputs, gram, None, 1.0, sets)
    etas, alphas = np.geomspace(1e-3, 0.3, 12)[:, None], np.linspace(0, 1, 8)
    seconds = {}
    for every in (steps, 5, 1):
        plan = plan_runs(
            (cut, n - cut), step_size=etas, batch_size=(16, 8), alpha=alphas, steps=steps,
            replicas=8, rng=0, record_every=every,
        )  # fmt: skip
        seconds[every] = cpu(lambda plan=plan: function_space.run(space, plan))
    slopes, drawn = torch.randn(8, 96, 240).double(), torch.randn(8, 240, n * classes).double()
    target = torch.zeros(8, 96, n * classes).double()
    products = cpu(lambda: [target.baddbmm_(slopes, drawn) for _ in range(steps)])
    for every, value in seconds.items():
        print(f"grid / products, nC = {n * classes}, a record each {every}: {value / products:.2f}")


def replicas(steps):
    """64 replicas of a real run against one, and the compiled CNN engine against the general."""
    patches, labels = SignalPlusNoise(60, 150, 0.5).sample(0)
    x, y = torch.tensor(patches), torch.tensor(labels)
    model = bridge.TwoLayerReLUCNN(150, 8)
    mlp = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(300, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1),
        torch.nn.Flatten(0),
    ).double()  # fmt: skip
    sets = (x[:48], y[:48]), (x[48:], y[48:])
    common = {"step_size": 0.05, "batch_size": (16, 4), "steps": steps, "rng": 0,
              "record_every": steps, "keep_final": False}  # fmt: skip

    def real(net, count, alpha=0.3):
        return cpu(lambda: bridge.unlearn(
            net, bridge.half_squared_error, *sets, alpha=alpha, replicas=count, **common
        ))  # fmt: skip

    print(f"64 replicas / one, perceptron: {real(mlp, 64) / real(mlp, 1):.1f}")
    real(model, 1)
    print(f"64 replicas / one, compiled CNN: {real(model, 64) / real(model, 1):.1f}")
    from rmtstab.bridge import cnn_runs

    alphas = np.linspace(0.0, 1.0, 6)
    fast = real(model, 16, alphas)
    applies, cnn_runs.applies = cnn_runs.applies, lambda *_: False
    slow = real(model, 16, alphas)
    cnn_runs.applies = applies
    print(f"general / compiled engine, 6 cells × 16 replicas: {slow / fast:.1f}")
    cell = fast / (6 * 16 * steps)
    print(f"24 × 24 cells × 16 replicas × 100 steps: {cell * 24 * 24 * 16 * 100:.0f} CPU seconds")


def diagnosis(n, steps):
    """The whole diagnosis of a 30k perceptron."""
    torch.manual_seed(0)
    x, y = torch.randn(n, 64), torch.arange(n) % 10
    model = perceptron()
    cut = 4 * n // 5
    sets, loss = ((x[:cut], y[:cut]), (x[cut:], y[cut:])), torch.nn.CrossEntropyLoss()
    settings = {"step_size": 0.03, "batch_size": (16, 8), "alpha": 0.3, "steps": steps, "rng": 0}
    start = time.process_time()
    answer = bridge.diagnose(model, loss, *sets, **settings)
    whole = time.process_time() - start
    parts = ", ".join(f"{k} {v:.1f}" for k, v in answer.seconds.items())
    print(f"diagnose, nC = {10 * n}, {steps} steps: {whole:.1f} CPU seconds (wall: {parts})")


def perceptron():
    """30k weights on 64 numbers."""
    layers = torch.nn.Linear(64, 140), torch.nn.ReLU(), torch.nn.Linear(140, 140), torch.nn.ReLU()
    return torch.nn.Sequential(*layers, torch.nn.Linear(140, 10))


def against_real(name, model, x, steps):
    """96 cells in function space against the same cells on the network, one run a cell.

    Steps of real runs cost the same each: two numbers of them are timed, and the difference
    is what the rest would cost.
    """
    n, y, loss = len(x), torch.arange(len(x)) % 10, torch.nn.CrossEntropyLoss()
    cut = 4 * n // 5
    sets = (x[:cut], y[:cut]), (x[cut:], y[cut:])
    cells = {"step_size": np.geomspace(1e-4, 0.03, 12)[:, None], "alpha": np.linspace(0, 1, 8),
             "batch_size": (16, 8), "replicas": 1, "rng": 0, "record_every": steps}  # fmt: skip
    model.eval()

    def real(count):
        return cpu(
            lambda: bridge.unlearn(model, loss, *sets, steps=count, keep_final=False, **cells), 1
        )

    few = max(2, steps // 15)
    real(1)
    on_network = (real(2 * few) - real(few)) / few * steps
    start = time.process_time()
    net = bridge.linearise(model, loss, *sets)
    reading = time.process_time() - start
    predicted, single = (
        cpu(lambda p=p: net.run(steps=steps, precision=p, **cells), 2) for p in ("double", "single")
    )
    weights = sum(p.numel() for p in model.parameters())
    print(
        f"96 cells × {steps} steps, {name}, {weights} weights, n = {n}: function space / real runs "
        f"{predicted / on_network:.3f}, in the network's float32 {single / on_network:.3f}, "
        f"with the reading {(predicted + reading) / on_network:.3f} "
        f"({predicted:.2f} + {reading:.2f} of {on_network:.1f} CPU seconds)"
    )


def residual(n, steps):
    """The whole diagnosis of a ResNet-8 on 32 × 32 images, and how much memory it takes."""
    model = bridge.residual_net(8)
    x, y = torch.randn(n, 3, 32, 32), torch.arange(n) % 10
    cut = 4 * n // 5
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    bridge.diagnose(
        model, torch.nn.CrossEntropyLoss(), (x[:cut], y[:cut]), (x[cut:], y[cut:]),
        step_size=0.01, batch_size=(16, 8), alpha=0.3, steps=steps, rng=0,
    )  # fmt: skip
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"diagnose, ResNet-8, nC = {10 * n}, {steps} steps, two Jacobian passes: {seconds:.1f} CPU "
        f"seconds, {peak / 1e6:.2f} GB at the peak ({before / 1e6:.2f} GB before)"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="A tenth of the work.")
    small = parser.parse_args().small
    torch.set_num_threads(1)
    grid(200, 15 if small else 300)
    replicas(10 if small else 100)
    diagnosis(50 if small else 150, 15 if small else 150)
    n, steps = (50, 15) if small else (200, 150)
    residual(n, steps)
    images = torch.randn(n, 1, 8, 8)
    against_real("perceptron", perceptron(), images.flatten(1), steps)
    against_real("CNN", bridge.convolutional_net(), images, steps)
    against_real("ResNet-8", bridge.residual_net(8, channels=1), images, steps)
