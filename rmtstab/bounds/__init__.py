"""Where closed form and exact operator meet: every bound of the theory on a problem."""

from rmtstab.bounds.evaluate import COSTS, NAMES, evaluate

__all__ = ["COSTS", "NAMES", "evaluate"]
