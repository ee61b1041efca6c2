"""The user's two objects: a problem, and its dynamics at given hyper-parameters."""

from rmtstab.unlearning.dynamics import Dynamics
from rmtstab.unlearning.problem import UnlearningProblem

__all__ = ["Dynamics", "UnlearningProblem"]
