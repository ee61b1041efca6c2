"""Formulae as MathML: a page shows them without a script and without a network."""

from __future__ import annotations

import re

from latex2mathml.converter import convert

NAMES = re.compile(r"\\(tfrac|dfrac)\b")
# operators and relations that come as identifiers; the empty set is one
RELATIONS = re.compile(r"<mi>(&#x0(?!2205)2[2A][0-9A-F]{2};)</mi>")


def mathml(latex: str, display: str = "inline") -> str:
    r"""Convert a formula.

    Parameters
    ----------
    latex : str
    display : {"inline", "block"}

    Returns
    -------
    str
        A ``<math>`` element.

    Raises
    ------
    ValueError
        If it is no formula that can be read.

    Examples
    --------
    >>> from rmtstab.report.formulae import mathml
    >>> "<mfrac><mn>1</mn><mn>2</mn></mfrac>" in mathml(r"\tfrac12")
    True
    """
    try:
        found: str = convert(NAMES.sub(r"\\frac", latex.strip()), display=display)
    except Exception as error:  # it raises anything
        raise ValueError(f"formula must be LaTeX that latex2mathml reads, got {latex!r}") from error
    return RELATIONS.sub(r"<mo>\1</mo>", found)
