"""Where closed form and exact operator meet: every bound of the theory on a problem."""

from rmtstab.bounds.evaluate import NAMES, evaluate
from rmtstab.bounds.row import COSTS

__all__ = ["COSTS", "NAMES", "evaluate"]
