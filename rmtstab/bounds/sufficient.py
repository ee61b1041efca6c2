"""Sufficient conditions from eigenproblems of side r."""

from __future__ import annotations

import numpy as np

from rmtstab.bounds.row import DERIVED, DEXTER, Pair, Row
from rmtstab.bounds.view import View
from rmtstab.theory import sufficient


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


ROWS = (
    Row("one step", "sufficient", "eigenproblem", DERIVED, one_step),
    Row("operator", "sufficient", "eigenproblem", DEXTER.format(2, "bounds"), operator),
)
