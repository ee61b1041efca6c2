"""Formulae as MathML: a page shows them without a script and without a network."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from latex2mathml.converter import convert

NAMES = re.compile(r"\\(tfrac|dfrac)\b")
# what formulae are made of; the converter lets links, styles and raw tags through
SPACE = "{http://www.w3.org/1998/Math/MathML}"
ELEMENTS = {
    "math", "maction", "mfrac", "mi", "mmultiscripts", "mn", "mo", "mover", "mpadded", "mphantom",
    "mroot", "mrow", "mspace", "msqrt", "mstyle", "msub", "msubsup", "msup", "mtable", "mtd",
    "mtext", "mtr", "munder", "munderover",
}  # fmt: skip
ATTRIBUTES = {
    "accent", "accentunder", "columnalign", "columnlines", "columnspacing", "depth", "display",
    "displaystyle", "fence", "form", "height", "largeop", "linethickness", "lspace", "mathcolor",
    "mathsize", "mathvariant", "maxsize", "minsize", "movablelimits", "rowalign", "rowlines",
    "rowspacing", "rspace", "scriptlevel", "separator", "stretchy", "width",
}  # fmt: skip
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
        If it is no formula that can be read, or holds more than a formula: a link, a tag.

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
    if not _is_inert(found):
        raise ValueError(f"formula must hold no link, style or tag, got {latex!r}")
    return RELATIONS.sub(r"<mo>\1</mo>", found)


def _is_inert(found: str) -> bool:
    """Whether a page that holds the element shows a formula, and does nothing else."""
    try:
        elements = list(ElementTree.fromstring(found).iter())
    except ElementTree.ParseError:
        return False
    return all(
        element.tag.removeprefix(SPACE) in ELEMENTS and set(element.attrib) <= ATTRIBUTES
        for element in elements
    )
