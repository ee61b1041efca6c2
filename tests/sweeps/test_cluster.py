"""A real scheduler with real workers: the same bits, and on past a killed worker or client."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from distributed import Client, LocalCluster

from rmtstab.sweeps import Sweep


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as found:
        yield found


@pytest.fixture
def client(cluster):
    with Client(cluster, set_as_default=False) as found:
        yield found


@contextlib.contextmanager
def scheduler_of_its_own(file, workers):
    """Start a scheduler, and workers that leave with it, each a process that can be killed."""
    scheduler = ["scheduler", "--host", "127.0.0.1", "--port", "0"]
    worker = ["worker", "--nthreads", "1", "--no-nanny"]
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    with contextlib.ExitStack() as stack:
        processes = []
        for name, *options in (scheduler, *[worker] * workers):
            command = [sys.executable, "-m", f"distributed.cli.dask_{name}", *options, *common]
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            processes.append(stack.enter_context(process))
            stack.callback(process.kill)
            while not file.exists():
                assert processes[0].poll() is None
                time.sleep(0.05)
        yield processes[0]


SWEEP = Sweep("spectrum", {"snr": [0.0, 0.5, 2.0], "n": [20, 40]}, seed=5)
COMPILED = [  # each process compiles its kernels
    Sweep("growth", {"alpha": [0.1, 0.5], "batch_size": [[4, 2], [8, 2]]}, seed=5),
    Sweep("growth", {"alpha": [0.1, 0.5], "instance": [0, 1]}, seed=5),  # a shared problem
    Sweep("simulation", {"alpha": [0.1, 0.5]}, {"steps": 20}, seed=5),
    Sweep("cnn_unlearning", {"alpha": [0.1, 0.5]}, {"steps": 20}, seed=5),
    Sweep("function_space", {"alpha": [0.1, 0.8]}, {"steps": 20, "observe": True}, seed=5),
]


@pytest.mark.parametrize(
    "sweep", [SWEEP, *(pytest.param(s, marks=pytest.mark.slow) for s in COMPILED)]
)
def test_the_same_bits_here_in_processes_and_on_a_cluster(cluster, client, tmp_path, sweep):
    here = sweep.run(tmp_path / "here")
    assert "error" not in here, here["error"].values
    processes = sweep.run(tmp_path / "processes", "processes", workers=2, chunk_size=3)
    by_address = sweep.run(tmp_path / "address", cluster.scheduler_address, chunk_size=2)
    by_client = sweep.run(where=client)
    for other in (processes, by_address, by_client):
        assert other.identical(here)


def slowly(seconds):
    def compute(rng, x):
        time.sleep(seconds)
        if x == 13:
            raise ValueError("unlucky")
        return {"y": float(rng.standard_normal()), "pid": os.getpid()}

    return compute


def test_a_killed_worker_loses_nothing(client, tmp_path):
    victim = []

    def kill(cell):
        if not victim:
            pids = client.run(os.getpid)
            victim.append(next(iter(pids.values())))
            os.kill(victim[0], signal.SIGKILL)

    sweep = Sweep(slowly(0.02), {"x": list(range(40))})
    found = sweep.run(tmp_path, client, on_done=kill)
    assert victim and [k for k, text in enumerate(found["error"].values) if text] == [13]
    assert "ValueError: unlucky" in found["error"].values[13]
    assert "in compute" in found["error"].values[13]  # the worker's own traceback
    assert found["y"].drop_sel(x=13).equals(sweep.run()["y"].drop_sel(x=13))


SCRIPT = """
import sys, time
from rmtstab.sweeps import Sweep

def slow(rng, x):
    time.sleep(0.02)
    return {"y": float(rng.standard_normal())}

sweep = Sweep(slow, {"x": list(range(100))})
if __name__ == "__main__":
    found = sweep.run(sys.argv[1], sys.argv[2])
    print("finished", float(found["y"].sum()))
"""


def test_a_killed_client_goes_on(cluster, client, tmp_path):
    script, folder = tmp_path / "script.py", tmp_path / "out"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(folder), cluster.scheduler_address]
    first = subprocess.Popen(command)
    while len(list(folder.glob("cells/*.json"))) < 5 and first.poll() is None:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    stored = {path: path.stat().st_mtime_ns for path in folder.glob("cells/*.json")}
    assert 5 <= len(stored) < 100 and not (folder / "result.zarr").exists()
    second = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "finished" in second.stdout
    assert len(list(folder.glob("cells/*.json"))) == 100
    assert all(path.stat().st_mtime_ns == when for path, when in stored.items())
    deadline = time.monotonic() + 10.0  # the dead client's tasks are forgotten
    while client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_a_killed_scheduler_ends_the_sweep_and_another_goes_on(tmp_path):
    sweep, start = Sweep(slowly(0.02), {"x": list(range(20, 120))}), []

    def kill(cell):
        start.append(cell)
        if len(start) == 10:
            scheduler.kill()

    with scheduler_of_its_own(tmp_path / "address.json", workers=1) as scheduler:
        address = json.loads((tmp_path / "address.json").read_text())["address"]
        with pytest.raises(ConnectionError, match="the same call goes on"):
            sweep.run(tmp_path / "out", address, on_done=kill)
    stored = list((tmp_path / "out" / "cells").glob("*.json"))
    assert 10 <= len(stored) < 100 and not any("error" in path.read_text() for path in stored)
    assert "error" not in sweep.run(tmp_path / "out")


def test_the_scheduler_holds_a_bounded_number_of_tasks(client, monkeypatch):
    import importlib

    monkeypatch.setattr(importlib.import_module("rmtstab.sweeps.run"), "IN_FLIGHT", 6)
    seen = []

    def count(cell):
        seen.append(client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))

    Sweep(lambda rng, x: {"y": x}, {"x": list(range(60))}).run(where=client, on_done=count)
    assert 1 <= max(seen) <= 12  # those in flight, and done ones not yet forgotten


def test_a_scheduler_that_is_not_there(tmp_path):
    with pytest.raises(OSError, match=r"scheduler must answer within 0.5 s, got nothing from tcp:"):
        SWEEP.run(where="tcp://127.0.0.1:9", timeout=0.5)
