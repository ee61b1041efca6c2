"""The experiment: what trains networks and gathers the evidence that claims are judged by."""

from rmtstab.experiment.presets import PRESETS, Preset

__all__ = ["PRESETS", "Preset"]
