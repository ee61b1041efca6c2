"""A finite-horizon map of ten cells, and what else is asked of one, on a digits network.

A small CNN on n digits (four in five retained) near interpolation: eigenvalues over eight decades,
rank about 7.5 n. Processor seconds are summed over threads: on two idle cores, divide by two.

Run ``OPENBLAS_NUM_THREADS=2 python validation/benchmarks/horizon_map.py [n …]``; default 120 260.
"""

import sys
import time

import torch
from sklearn.datasets import load_digits
from torch import nn

import rmtstab as rs

STEP, BATCHES, ALPHAS, HORIZON = 0.05, [(16, 4), (8, 2)], [0.0, 0.001, 0.05, 0.2, 0.5], 200
RADIUS = 1.001  # crossed between the mixings


def trained(n):
    """Problem of the network after 80 steps of Adam."""
    torch.manual_seed(0)
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x[:n] / 16).reshape(-1, 1, 8, 8), torch.tensor(y[:n])
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)).double()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    split = 4 * n // 5
    sets = (x[:split], y[:split]), (x[split:], y[split:])
    return rs.bridge.linearise(model, nn.CrossEntropyLoss(), *sets).problem()


def measured(call):
    """Result, wall seconds, processor seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def main(n):
    """Print seconds of the map, and of each cell's growth factor, escape time and report."""
    problem = trained(n)
    found, wall, cpu = measured(
        lambda: problem.frontier(STEP, BATCHES, ALPHAS, horizon=HORIZON, radius=RADIUS)
    )
    widths = found.error_bounds / found.values
    print(
        f"n={n}, rank {problem.rank}: {found.values.size} cells to step {HORIZON} and their curve: "
        f"{wall:.1f} s ({cpu:.1f} s of processor time)"
    )
    print(
        f"  relative widths at most {widths.max():.1e}; critical mixings "
        f"{found.critical_alpha.round(6).tolist()}, error at most {found.critical_error.max():.0e}"
    )
    for alpha in ALPHAS:
        dyn = problem.dynamics(STEP, BATCHES[0], alpha)
        top, _, growth = measured(dyn.growth)
        when, _, escape = measured(lambda dyn=dyn: dyn.escape_time(10.0))
        _, _, report = measured(lambda dyn=dyn: str(dyn.report()))
        print(
            f"  alpha={alpha:g}: growth {growth:.1f} s ({top.iterations} applications, error "
            f"{top.error_bound:.0e}, {top.verdict.name}), escape time {when:g} {escape:.1f} s, "
            f"report {report:.1f} s"
        )


if __name__ == "__main__":
    for size in [int(a) for a in sys.argv[1:]] or [120, 260]:
        main(size)
