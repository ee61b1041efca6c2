"""Exact mean-square dynamics of descent–ascent, linearised at the trained weights."""

from rmtstab.dynamics.dynamics import Dynamics
from rmtstab.dynamics.problem import UnlearningProblem

__all__ = ["Dynamics", "UnlearningProblem"]
