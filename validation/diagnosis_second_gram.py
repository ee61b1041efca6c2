"""Does a second Gram matrix find the wrong cells that the diagnosis leaves unflagged?

    python validation/diagnosis_second_gram.py [--networks NAME …]

The network is linearised once more, at the step of collapse of the collapsing cell of median
time, or where the kept cell of median displacement ends; every cell is then run again from the
start with that Gram, and flagged where its collapse verdict changes. Needs the evidence of
``validation/diagnosis.py``; prints one line a network and point.
"""

from __future__ import annotations

import argparse
import copy
import json
from dataclasses import replace

import numpy as np
import torch
from diagnosis import ALPHAS, BATCHES, LOSS, OUT, STEPS, trained

from rmtstab import bridge
from rmtstab.claims.networks import diagnosis as judge


def points(run, said):
    """Name, cell and step of both second points."""
    times, moves = run.collapse_step[..., 0], run.displacement[..., 0, -1]
    for name, cells, key in (("collapsed", said, times), ("kept", ~said, moves)):
        places = np.argwhere(cells)
        cell = tuple(int(k) for k in places[np.argsort(key[cells])[(len(places) - 1) // 2]])
        yield name, cell, STEPS if name == "kept" else int(times[cell])


def look(row):
    """Print what a second Gram says of one network."""
    model, _, sets = trained(row["network"], row["seed"])
    net = bridge.linearise(model, LOSS, *sets)
    settings = {
        "step_size": np.array(row["step_sizes"])[:, None], "batch_size": BATCHES, "alpha": ALPHAS,
        "steps": STEPS, "replicas": 1, "rng": 1,
    }  # fmt: skip
    run = net.run(**settings)
    said, real = np.isfinite(run.collapse_step[..., 0]), judge.collapses(row, "real")[..., 0]
    wrong, flagged = said != real, judge.flagged(row)
    top = np.linalg.eigvalsh(net.gram)[-1]
    for name, cell, step in points(run, said):
        moved = copy.copy(net)
        moved.space = replace(net.space, gram=net.relinearise(run, cell, step).space.gram)
        again = np.isfinite(moved.run(**settings).collapse_step[..., 0])
        new = (again != said) & ~flagged
        growth = np.linalg.eigvalsh(moved.gram)[-1] / top
        print(
            f"{row['network']:20s} {name:10s} λ_max × {growth:.2f}"
            f"  wrong unflagged found {int((new & wrong).sum())} of {int((wrong & ~flagged).sum())}"
            f", right newly flagged {int((new & ~wrong).sum())} of "
            f"{int((~wrong & ~flagged).sum())}",
            flush=True,
        )


if __name__ == "__main__":
    rows = {row["network"]: row for row in json.loads(OUT.read_text())}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="*", default=list(rows), choices=list(rows))
    torch.set_num_threads(1)
    for chosen in parser.parse_args().networks:
        look(rows[chosen])
