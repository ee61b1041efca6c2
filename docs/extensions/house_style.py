"""The look of `rmtstab.figures` in every example."""

import matplotlib as mpl
from cycler import cycler

from rmtstab.figures import _style


def apply(gallery_conf, fname):
    """Set the look before each example, whatever the last one did."""
    mpl.rcdefaults()
    mpl.rcParams.update({
        "axes.prop_cycle": cycler(color=_style.CYCLE),
        "axes.formatter.useoffset": False,
        "figure.constrained_layout.use": True,
        "figure.figsize": (5.5, 3.6),
        "figure.max_open_warning": 0,
        "legend.frameon": False,
    })  # fmt: skip
