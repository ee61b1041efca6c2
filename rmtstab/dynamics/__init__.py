"""Exact dynamics of one linearised update: growth, thresholds, maps, trajectories, simulation."""

from rmtstab.dynamics.gradients import Stationary
from rmtstab.dynamics.simulate import Simulation
from rmtstab.dynamics.update import Update

__all__ = ["Simulation", "Stationary", "Update"]
