"""Claims: the networks interpolate, and their curvature is the closed form's."""

from __future__ import annotations

import math
from typing import Any

from rmtstab.claims.claim import Claim, Evidence, Outcome
from rmtstab.claims.networks.records import largest

Record = dict[str, Any]


def curvature(evidence: Evidence) -> Outcome:
    """Closed-form sharpness against autograd's."""
    gaps = [abs(n["sharpness_autograd"] / n["sharpness_gram"] - 1) for n in evidence["networks"]]
    worst = largest(gaps)
    text = f"largest relative gap {worst:.1e} over {len(gaps)} networks"
    return Outcome(text, worst, math.nan, worst < 1e-8)


def interpolation(evidence: Evidence) -> Outcome:
    """Largest training loss over the networks."""
    losses = [n["training"]["loss"] for n in evidence["networks"]]
    worst = largest(losses)
    starts = [n["training"]["starts"] for n in evidence["networks"]]
    text = (
        f"largest loss {worst:.1e} over {len(losses)} networks; {sum(starts) - len(starts)} starts "
        "given up because a sample lost all its filters"
    )
    return Outcome(text, worst, math.nan, worst < 1e-20)


CLAIMS = (
    Claim(
        name="curvature-is-rank-one",
        statement="The closed-form Gram matrix has the network's own sharpness, by autograd "
        "Hessian-vector products.",
        latex=r"\lambda_{\max}(K/n)=\lambda_{\max}(\nabla^2 L)",
        assumptions="interpolating weights away from kinks",
        normalisation="none",
        horizon="none",
        source="derived in docs/theory/cnn",
        fails="away from interpolation, for losses with curvature in f (the residual term)",
        judge=curvature,
    ),
    Claim(
        name="networks-interpolate",
        statement="Every trained network interpolates its data.",
        latex=r"L(w^*)<10^{-20}",
        assumptions="Gauss–Newton polish in sample space",
        normalisation="none",
        horizon="none",
        source="measured",
        fails="with gradient descent alone, which stalls near 1e-5 at high SNR",
        judge=interpolation,
    ),
)
