"""Sweeps: a grid of cells, one durable file for each, anywhere that Dask reaches."""

from rmtstab.sweeps.experiment import Experiment, experiment, experiments
from rmtstab.sweeps.files import FolderInUse
from rmtstab.sweeps.grid import Cell, product
from rmtstab.sweeps.provenance import fingerprint, source_digest, versions
from rmtstab.sweeps.run import Failure, load, run
from rmtstab.sweeps.sweep import Sweep
from rmtstab.sweeps.workers import worker_pool

__all__ = [
    "Cell",
    "Experiment",
    "Failure",
    "FolderInUse",
    "Sweep",
    "experiment",
    "experiments",
    "fingerprint",
    "load",
    "product",
    "run",
    "source_digest",
    "versions",
    "worker_pool",
]
