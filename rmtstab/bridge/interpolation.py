"""How far a trained network is from interpolation: what its residual gradients still push."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from rmtstab._record import Record
from rmtstab.bridge.reading import Reading

NEGLIGIBLE = 1e-6  # residuals below this share of an uninformed network's count as none


@dataclass(frozen=True)
class InterpolationGap(Record):
    r"""Losses and residual gradients at the trained point, retain and forget.

    Attributes
    ----------
    losses : pair of float
        The loss of each whole set; NaN where the set is empty.
    residuals : pair of float
        Root mean square of ``‖∇ℓ_i‖`` in the outputs, relative to that of outputs that know
        nothing (zero, or random where that is larger): 0 at interpolation, near 1 untrained.
    gradient_norms : pair of float
        ``‖∇L‖`` in the weights (times ``P^{1/2}`` where there is a preconditioner).

    Examples
    --------
    >>> import torch
    >>> from rmtstab import bridge
    >>> model, x = torch.nn.Linear(2, 1, bias=False), torch.eye(2)
    >>> _ = torch.nn.init.ones_(model.weight)
    >>> found = bridge.problem(model, torch.nn.MSELoss(), (x, torch.ones(2, 1)), ())
    >>> found.interpolation.interpolates, found.interpolation.losses[0]
    (True, 0.0)
    """

    losses: tuple[float, float]
    residuals: tuple[float, float]
    gradient_norms: tuple[float, float]

    @property
    def interpolates(self) -> bool:
        """Whether what is left of the residuals is negligible in both sets."""
        return not any(residual > NEGLIGIBLE for residual in self.residuals)

    @property
    def words(self) -> str:
        """One line for a report."""
        rows = zip(
            ("retain", "forget"), self.losses, self.residuals, self.gradient_norms, strict=True
        )
        parts = [
            f"{name} loss {loss:.3g}, residuals {residual:.2g} of an uninformed network's, "
            f"mean gradient {norm:.2g}"
            for name, loss, residual, norm in rows
            if loss == loss
        ]
        state = "interpolates" if self.interpolates else "does not interpolate"
        return f"{state}: {'; '.join(parts)}"


def measure(reading: Reading, gradient_norms: tuple[float, float]) -> InterpolationGap:
    """Measure both sets of a reading.

    Parameters
    ----------
    reading : Reading
    gradient_norms : pair of float
        ``‖∇L‖`` of each set.

    Returns
    -------
    InterpolationGap
    """
    losses, residuals = [], []
    sets = zip(reading.samples, reading.losses, reading.outputs, reading.weights, strict=True)
    for samples, loss, outputs, weights in sets:
        if samples is None or loss is None:
            losses.append(float("nan"))
            residuals.append(float("nan"))
            continue
        share = len(samples) if loss.normalised else 1
        values = loss.values(outputs, samples.targets)
        losses.append(float((weights * values).sum()) / share)
        generator = torch.Generator().manual_seed(0)
        random = torch.randn(outputs.shape, generator=generator, dtype=torch.float64)
        sizes = [
            float((weights[:, None] * loss.gradients(at, samples.targets)).square().sum())
            for at in (outputs, torch.zeros_like(outputs), random.to(outputs.device))
        ]
        largest = max(sizes[1:])
        residuals.append((sizes[0] / largest) ** 0.5 if largest else 0.0)
    return InterpolationGap((losses[0], losses[1]), (residuals[0], residuals[1]), gradient_norms)
