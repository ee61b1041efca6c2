"""The bridge to real networks: torch models, their curvature, their actual unlearning."""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:  # the core works without torch; only the bridge needs it
    raise ImportError(
        "rmtstab.bridge needs torch; install it with `pip install rmtstab[torch]`"
    ) from error

from rmtstab.bridge.advice import Advice
from rmtstab.bridge.architectures import (
    Recurrent,
    convolutional_net,
    multilayer_perceptron,
    residual_net,
)
from rmtstab.bridge.curves import Curves, SetCurves, Turns
from rmtstab.bridge.data_sets import read_samples
from rmtstab.bridge.density import SpectralDensity, spectral_density
from rmtstab.bridge.diagnosis import Diagnosis, SampleShares, diagnose
from rmtstab.bridge.estimates import DiagonalEstimate, diagonal_estimate, trace_estimate
from rmtstab.bridge.factors import sample_factors
from rmtstab.bridge.forgetting import (
    FunctionDistance,
    MembershipAttack,
    loss_threshold_attack,
    retraining_distance,
    shadow_model_attack,
)
from rmtstab.bridge.from_network import problem
from rmtstab.bridge.gauss_newton_gap import CurvatureGap, curvature_gap
from rmtstab.bridge.gram import apply_roots, jacobian_gram
from rmtstab.bridge.interpolation import InterpolationGap
from rmtstab.bridge.jacobian_products import pullback, pushforward
from rmtstab.bridge.linearised import LinearisedNetwork
from rmtstab.bridge.linearising import linearise
from rmtstab.bridge.losses import half_squared_error, logistic
from rmtstab.bridge.models import TwoLayerReLUCNN
from rmtstab.bridge.network import Network
from rmtstab.bridge.network_problem import Disagreement, NetworkDynamics, NetworkProblem
from rmtstab.bridge.operators import (
    CurvatureOperator,
    gauss_newton_operator,
    hessian_operator,
    mix_hessian_operator,
)
from rmtstab.bridge.outcome_map import OutcomeMap
from rmtstab.bridge.parameters import displaced
from rmtstab.bridge.planning import Plan, PlannedRoute, plan
from rmtstab.bridge.range_check import RangeCheck
from rmtstab.bridge.runs import FunctionSpaceRun, Runs
from rmtstab.bridge.sample_spectra import SampleSharpness, sample_sharpness
from rmtstab.bridge.samples import Samples
from rmtstab.bridge.sketching import Sketch, sketch
from rmtstab.bridge.spectrum import Eigenpairs, extreme_eigenpairs, largest_hessian_eigenvalue
from rmtstab.bridge.storage import load
from rmtstab.bridge.training import Interpolation, gauss_newton, gradient_descent
from rmtstab.bridge.transformer import Transformer
from rmtstab.bridge.unlearning import UnlearningRuns, unlearn

__all__ = [
    "Advice",
    "CurvatureGap",
    "CurvatureOperator",
    "Curves",
    "Diagnosis",
    "DiagonalEstimate",
    "Disagreement",
    "Eigenpairs",
    "FunctionDistance",
    "FunctionSpaceRun",
    "Interpolation",
    "InterpolationGap",
    "LinearisedNetwork",
    "MembershipAttack",
    "Network",
    "NetworkDynamics",
    "NetworkProblem",
    "OutcomeMap",
    "Plan",
    "PlannedRoute",
    "RangeCheck",
    "Runs",
    "Recurrent",
    "SampleSharpness",
    "SampleShares",
    "Samples",
    "SetCurves",
    "Sketch",
    "SpectralDensity",
    "Transformer",
    "Turns",
    "TwoLayerReLUCNN",
    "UnlearningRuns",
    "apply_roots",
    "convolutional_net",
    "curvature_gap",
    "diagnose",
    "diagonal_estimate",
    "displaced",
    "extreme_eigenpairs",
    "gauss_newton",
    "gauss_newton_operator",
    "gradient_descent",
    "half_squared_error",
    "hessian_operator",
    "jacobian_gram",
    "largest_hessian_eigenvalue",
    "linearise",
    "load",
    "logistic",
    "loss_threshold_attack",
    "mix_hessian_operator",
    "multilayer_perceptron",
    "plan",
    "problem",
    "pullback",
    "pushforward",
    "read_samples",
    "residual_net",
    "retraining_distance",
    "sample_factors",
    "sample_sharpness",
    "shadow_model_attack",
    "sketch",
    "spectral_density",
    "trace_estimate",
    "unlearn",
]
