"""The user's two objects: a problem, and its dynamics at given hyper-parameters."""

from rmtstab.unlearning.certificate import Certificate
from rmtstab.unlearning.dynamics import Dynamics
from rmtstab.unlearning.problem import UnlearningProblem

__all__ = ["Certificate", "Dynamics", "UnlearningProblem"]
