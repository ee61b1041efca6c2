"""Cost of a sweep: overheads a cell and a task, fitted; efficiency; the scheduler's memory.

``python validation/benchmarks/sweeps.py [--cells] [--scheduler-cells] [--theory]``
starts a scheduler and two workers of its own, each in a process of its own as on a cluster.
"""

import argparse
import os
import tempfile
import time

import numpy as np
from distributed import Client
from distributed.deploy.subprocess import SubprocessCluster

from rmtstab.sweeps import Sweep

CHUNKS = (1, 4, 16, 64)
LARGE = {"cells": 1e6, "workers": 100, "seconds": 0.1, "chunk": 10}


def nothing(rng, x):
    """Return as soon as possible."""
    return {"y": x}


def sleeping(rng, x, seconds):
    """Take a while, without a processor."""
    time.sleep(seconds)
    return {"y": x}


def timed(sweep, *arguments, **options):
    """Seconds of wall and of this process' own time."""
    with tempfile.TemporaryDirectory() as folder:
        wall, own = time.perf_counter(), time.process_time()
        sweep.run(folder, *arguments, **options)
        return time.perf_counter() - wall, time.process_time() - own


def fit(client, cells):
    """Seconds of the calling process, g a cell and s a task, by least squares over chunk sizes.

    Its own processor time, which other work on the machine hardly disturbs.
    """
    sweep = Sweep(nothing, {"x": list(range(cells))})
    rows, owns = [], []
    for chunk in CHUNKS:
        wall, own = timed(sweep, client, chunk_size=chunk)
        rows.append([cells, cells / chunk])
        owns.append(own)
        print(
            f"  {cells} empty cells, {chunk:3d} a task: {1e3 * wall / cells:.2f} ms a cell "
            f"(calling process {1e3 * own / cells:.2f})"
        )
    constants, *_ = np.linalg.lstsq(np.array(rows), np.array(owns), rcond=None)
    return constants


def efficiency(client, seconds=0.1, cells=200):
    """Share of the workers' time that goes into cells of so many seconds."""
    sweep = Sweep(sleeping, {"x": list(range(cells))}, {"seconds": seconds})
    wall, _ = timed(sweep, client)
    return cells * seconds / 2 / wall


def memory(client, cells):
    """Tasks that the scheduler holds at most; at each tenth its memory and this process', MB."""
    tasks, sizes, own, count = [0], [], [], [0]

    def watch(cell):
        count[0] += 1
        if count[0] % (cells // 10) == 0:
            tasks.append(client.run_on_scheduler(_tasks))
            sizes.append(client.run_on_scheduler(_resident))
            own.append(_resident())

    timed(Sweep(nothing, {"x": list(range(cells))}), client, chunk_size=10, on_done=watch)
    return max(tasks), sizes, own


def shown(sizes):
    """Sizes in MB as text."""
    return ", ".join(f"{size:.0f}" for size in sizes) + " MB"


def theory(cells):
    """10,000 growth factors at n = 60, in two processes: processor seconds of all together.

    The caller's overlaps with the workers', so that two idle cores take about half the sum.
    """
    alphas = np.linspace(0.02, 1.0, 50).tolist()
    batches = [[4, 1], [8, 2], [16, 4], [32, 8]]
    axes = {"alpha": alphas, "batch_size": batches, "instance": list(range(cells // 200))}
    before = os.times()
    wall, _ = timed(Sweep("growth", axes), "processes", workers=2, chunk_size=20)
    after = os.times()
    used = sum(after[:4]) - sum(before[:4])
    print(
        f"theory: {cells} cells, {wall:.1f} s of wall, {used:.1f} s of processors, "
        f"{used / 2:.1f} s on two that are idle"
    )


def main():
    """Print every number of the guide's page on cost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", type=int, default=2000)
    parser.add_argument("--scheduler-cells", type=int, default=100_000)
    parser.add_argument("--theory", type=int, default=10_000)
    chosen = parser.parse_args()
    with (
        SubprocessCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        cell, task = fit(client, chosen.cells)
        print(f"calling process: g = {1e3 * cell:.2f} ms a cell, s = {1e3 * task:.2f} ms a task")
        share = efficiency(client)
        print(f"efficiency at 0.1 s a cell: {share:.3f}, a = {100 * (1 / share - 1):.1f} ms a task")
        cells = chosen.scheduler_cells
        tasks, sizes, own = memory(client, cells)
        last = 1e6 * (sizes[-1] - sizes[4]) / (cells / 2)
        print(
            f"scheduler, {cells} cells: at most {tasks} tasks; its process, at each tenth of the "
            f"way: {shown(sizes)}, over the last half {last:.0f} bytes a cell"
        )
        print(f"calling process, which holds the results that it returns: {shown(own)}")
    number, workers, seconds, chunk = (LARGE[k] for k in ("cells", "workers", "seconds", "chunk"))
    work, serial = number / workers * seconds, number * cell + number / chunk * task
    print(
        f"predicted, {number:g} cells of {seconds} s on {workers} workers, {chunk} a task: "
        f"max({work:.0f} s of workers, {serial:.0f} s of the calling process)"
    )
    if chosen.theory:
        theory(chosen.theory)


def _resident():
    import psutil

    return psutil.Process().memory_info().rss / 1e6


def _tasks(dask_scheduler):
    return len(dask_scheduler.tasks)


if __name__ == "__main__":
    main()
