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
from rmtstab.bridge.curves import Curves, Turns
from rmtstab.bridge.diagnosis import Diagnosis, diagnose
from rmtstab.bridge.factors import problem, sample_factors
from rmtstab.bridge.linearised import FunctionSpaceRun, LinearisedNetwork, linearise
from rmtstab.bridge.losses import half_squared_error, logistic
from rmtstab.bridge.models import TwoLayerReLUCNN
from rmtstab.bridge.outcome_map import OutcomeMap
from rmtstab.bridge.range_check import RangeCheck
from rmtstab.bridge.spectrum import largest_hessian_eigenvalue
from rmtstab.bridge.storage import load
from rmtstab.bridge.training import Interpolation, gauss_newton, gradient_descent
from rmtstab.bridge.transformer import Transformer
from rmtstab.bridge.unlearning import UnlearningRuns, unlearn

__all__ = [
    "Curves",
    "Diagnosis",
    "FunctionSpaceRun",
    "LinearisedNetwork",
    "OutcomeMap",
    "RangeCheck",
    "Turns",
    "diagnose",
    "linearise",
    "load",
    "Interpolation",
    "Recurrent",
    "Transformer",
    "TwoLayerReLUCNN",
    "UnlearningRuns",
    "convolutional_net",
    "gauss_newton",
    "gradient_descent",
    "half_squared_error",
    "largest_hessian_eigenvalue",
    "logistic",
    "multilayer_perceptron",
    "problem",
    "residual_net",
    "sample_factors",
    "unlearn",
]
