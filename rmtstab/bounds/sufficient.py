"""Sufficient conditions from eigenproblems of side r."""

from __future__ import annotations

import math

import numpy as np

from rmtstab.bounds.row import DERIVED, DEXTER, Pair, Row
from rmtstab.bounds.view import View
from rmtstab.theory import sufficient
from rmtstab.theory.coherence_bounds import ConvergenceBound


def one_step(view: View) -> Pair:
    """``λ_max(Φ(P))``.

    Parameters
    ----------
    view : View

    Returns
    -------
    (float, float)
        Bound on ρ, critical step size.
    """
    mix, noise = np.diag(view.mu), view.one_step.noise(**view.step)
    return (
        sufficient.one_step_growth(mix, noise, view.eta),
        sufficient.one_step(mix, noise),
    )


def operator(view: View) -> Pair:
    """The operator bound: ``λ_max(H_i)`` in place of each sample's square.

    Parameters
    ----------
    view : View

    Returns
    -------
    (float, float)
        Bound on ρ, critical step size.
    """
    mix, weighted = np.diag(view.mu), view.sharpness_weighted()
    rho = sufficient.operator_growth(mix, weighted, view.eta)
    return rho, sufficient.operator(mix, weighted)


def convergence(view: View) -> Pair | None:
    """Convergence in unlearning coherence, sharper form; None without curvature.

    Beyond the theorem, its proof bounds ρ: ``Φ(P) ⪯ P − ηD[2 − η(λ_max(D) + mq/δ)]``.

    Parameters
    ----------
    view : View

    Returns
    -------
    (float, float) or None
        Bound on ρ, critical step size: NaN and 0 where the mean may ascend.
    """
    pair = view.once(View.coherence)
    if pair is None:
        return None
    bound = ConvergenceBound(
        view.sizes, view.sharpness, pair[0].coherence, view.forget_ratio, pair[0].outputs
    )
    # weight decay: D + λ ⪰ D keeps every step of the proof
    total = float(view.mu.max()) + bound.noise(**view.step)
    if not total < math.inf or view.mu.min() < 0.0:
        return math.nan, 0.0
    excess = view.eta * total - 2.0
    edge = view.mu.max() if excess > 0.0 else view.mu.min()
    return 1.0 + view.eta * float(edge) * excess, 2.0 / total


ROWS = (
    Row("one step", "sufficient", "eigenproblem", DERIVED, one_step),
    Row("operator", "sufficient", "eigenproblem", DEXTER.format(2, "bounds"), operator),
    Row("coherence convergence", "sufficient", "eigenproblem",
        DEXTER.format(2, "bounds/coherence"), convergence),
)  # fmt: skip
