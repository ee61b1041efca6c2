"""Sweeps: a pure grid of cells, and one durable file for each as it is computed."""

from rmtstab.sweeps.grid import Cell, product
from rmtstab.sweeps.run import run

__all__ = ["Cell", "product", "run"]
