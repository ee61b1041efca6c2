"""The bridge to real networks: torch models, their curvature, their actual unlearning."""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:  # the core works without torch; only the bridge needs it
    raise ImportError(
        "rmtstab.bridge needs torch; install it with `pip install rmtstab[torch]`"
    ) from error

from rmtstab.bridge.factors import sample_factors
from rmtstab.bridge.from_network import problem
from rmtstab.bridge.interpolation import InterpolationGap
from rmtstab.bridge.losses import half_squared_error, logistic
from rmtstab.bridge.models import TwoLayerReLUCNN
from rmtstab.bridge.network_problem import Disagreement, NetworkProblem
from rmtstab.bridge.spectrum import largest_hessian_eigenvalue
from rmtstab.bridge.training import Interpolation, gauss_newton, gradient_descent
from rmtstab.bridge.unlearning import UnlearningRuns, unlearn

__all__ = [
    "Disagreement",
    "Interpolation",
    "InterpolationGap",
    "NetworkProblem",
    "TwoLayerReLUCNN",
    "UnlearningRuns",
    "gauss_newton",
    "gradient_descent",
    "half_squared_error",
    "largest_hessian_eigenvalue",
    "logistic",
    "problem",
    "sample_factors",
    "unlearn",
]
