"""Exact dynamics of linearised descent–ascent: growth, thresholds, trajectories, simulation."""

from rmtstab.dynamics.linearised import Dynamics
from rmtstab.dynamics.problem import UnlearningProblem
from rmtstab.dynamics.simulate import Simulation

__all__ = ["Dynamics", "Simulation", "UnlearningProblem"]
