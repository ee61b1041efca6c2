"""Figures: data and axes in, axes out; matplotlib loads when one is drawn."""

from rmtstab.figures._style import COLUMN, style
from rmtstab.figures.against_snr import (
    coherence_against_snr,
    escape_against_snr,
    resistance_against_snr,
)
from rmtstab.figures.bound_sandwich import bound_sandwich
from rmtstab.figures.bound_tightness import bound_tightness
from rmtstab.figures.check_series import check_series
from rmtstab.figures.density_band import spectral_density
from rmtstab.figures.frontier_laws import frontier_laws
from rmtstab.figures.gram_spectrum import gram_spectrum
from rmtstab.figures.network_runs import learning_curves, predicted_outcomes
from rmtstab.figures.outcome_map import outcome_map
from rmtstab.figures.results import participation, runs, trajectory
from rmtstab.figures.spectrum import spectrum
from rmtstab.figures.stability_map import stability_map
from rmtstab.figures.trajectories import losses, trajectories
from rmtstab.figures.trust_tradeoff import trust_tradeoff

__all__ = [
    "COLUMN",
    "bound_sandwich",
    "bound_tightness",
    "check_series",
    "coherence_against_snr",
    "escape_against_snr",
    "frontier_laws",
    "gram_spectrum",
    "learning_curves",
    "losses",
    "outcome_map",
    "participation",
    "predicted_outcomes",
    "resistance_against_snr",
    "runs",
    "spectral_density",
    "spectrum",
    "stability_map",
    "style",
    "trajectories",
    "trajectory",
    "trust_tradeoff",
]
