"""Figures: data and axes in, axes out; matplotlib loads when one is drawn."""

from rmtstab.figures.spectrum import spectrum

__all__ = ["spectrum"]
