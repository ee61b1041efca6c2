"""Sufficient conditions from eigenproblems of side r."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.bounds.row import DERIVED, DEXTER, Pair, Row
from rmtstab.bounds.view import View
from rmtstab.dynamics.certificate import EPS
from rmtstab.dynamics.mean_curvature import resolution
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
    noise = view.one_step.noise(**view.step)
    rho = sufficient.one_step_growth(np.diag(view.mu), noise, view.eta)
    # on the safe side of what cancels in fixed-size noise: |δ_pq| ≤ ε√(P_pp P_qq)
    parts = sum(
        a * a * c * np.diag((view.one_step.retain_squares, view.one_step.forget_squares)[s])
        for s, a, c, *_ in view.weighted
    )
    safe = noise + np.diag(4.0 * EPS * np.sqrt(len(noise)) * np.asarray(parts))
    return rho, _least_step(view, lambda mix: sufficient.one_step(mix, safe))


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
    return rho, _least_step(view, lambda d: sufficient.operator(d, weighted))


def _least_step(view: View, step: Callable[[FloatArray], float]) -> float:
    """The least critical step over what rounding leaves of D's eigenvalues."""
    blur = resolution(view.update)
    shifts = (0.0,) if blur <= 1e-12 * view.mu.min() else (-blur, blur)
    return min(step(np.diag(view.mu + shift)) for shift in shifts)


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
    blur = resolution(view.update)  # what rounding leaves of D's eigenvalues
    if not total < math.inf or view.mu.min() < -blur:
        return math.nan, 0.0
    excess = view.eta * total - 2.0
    edge = view.mu.max() + blur if excess > 0.0 else max(view.mu.min() - blur, 0.0)
    return 1.0 + view.eta * float(edge) * excess, 2.0 / (total + blur)


ROWS = (
    Row("one step", "sufficient", "eigenproblem", DERIVED, one_step),
    Row("operator", "sufficient", "eigenproblem", DEXTER.format(2, "bounds"), operator),
    Row("coherence convergence", "sufficient", "eigenproblem",
        DEXTER.format(2, "bounds/coherence"), convergence),
)  # fmt: skip
