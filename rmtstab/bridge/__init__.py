"""The bridge to real networks: torch models, their curvature, their actual unlearning."""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:  # the core works without torch; only the bridge needs it
    raise ImportError(
        "rmtstab.bridge needs torch; install it with `pip install rmtstab[torch]`"
    ) from error

from rmtstab.bridge.architectures import (
    Recurrent,
    convolutional_net,
    multilayer_perceptron,
    residual_net,
)
from rmtstab.bridge.factors import sample_factors
from rmtstab.bridge.from_network import problem
from rmtstab.bridge.gram import apply_roots, jacobian_gram
from rmtstab.bridge.interpolation import InterpolationGap
from rmtstab.bridge.jacobian_products import pullback, pushforward
from rmtstab.bridge.losses import half_squared_error, logistic
from rmtstab.bridge.models import TwoLayerReLUCNN
from rmtstab.bridge.network import Network
from rmtstab.bridge.network_problem import Disagreement, NetworkProblem
from rmtstab.bridge.planning import Plan, plan
from rmtstab.bridge.samples import Samples, read_samples
from rmtstab.bridge.sketching import Sketch, sketch
from rmtstab.bridge.spectrum import largest_hessian_eigenvalue
from rmtstab.bridge.training import Interpolation, gauss_newton, gradient_descent
from rmtstab.bridge.transformer import Transformer
from rmtstab.bridge.unlearning import UnlearningRuns, unlearn

__all__ = [
    "Disagreement",
    "Interpolation",
    "InterpolationGap",
    "Network",
    "NetworkProblem",
    "Plan",
    "Recurrent",
    "Samples",
    "Sketch",
    "Transformer",
    "TwoLayerReLUCNN",
    "UnlearningRuns",
    "apply_roots",
    "convolutional_net",
    "gauss_newton",
    "gradient_descent",
    "half_squared_error",
    "jacobian_gram",
    "largest_hessian_eigenvalue",
    "logistic",
    "multilayer_perceptron",
    "plan",
    "problem",
    "pullback",
    "pushforward",
    "read_samples",
    "residual_net",
    "sample_factors",
    "sketch",
    "unlearn",
]
