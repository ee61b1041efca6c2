"""The experiment: what trains networks and gathers the evidence that claims are judged by."""

from rmtstab.experiment.planes import Plane
from rmtstab.experiment.presets import PRESETS, Preset
from rmtstab.experiment.validation import Validation, validate

__all__ = ["PRESETS", "Plane", "Preset", "Validation", "validate"]
