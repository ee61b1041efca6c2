"""Formulae as MathML, made at build: pages need no script and no network to show them."""

from __future__ import annotations

import re

from docutils import nodes
from latex2mathml.converter import convert

NAMES = re.compile(r"\\(tfrac|dfrac)\b")
# operators and relations that come as identifiers; the empty set is one
RELATIONS = re.compile(r"<mi>(&#x0(?!2205)2[2A][0-9A-F]{2};)</mi>")


def mathml(latex: str, display: str) -> str:
    """Convert a formula; ``display`` is "inline" or "block"."""
    try:
        found = convert(NAMES.sub(r"\\frac", latex.strip()), display=display)
        return RELATIONS.sub(r"<mo>\1</mo>", found)
    except Exception as error:
        raise ValueError(f"formula must be LaTeX that latex2mathml reads, got {latex!r}") from error


def _inline(self, node):
    self.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def _block(self, node):
    self.body.append(f'<div class="math">{mathml(node.astext(), "block")}</div>\n')
    raise nodes.SkipNode


def setup(app):
    """Register the renderer under the name that ``html_math_renderer`` takes."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None),
                               block_renderers=(_block, None))  # fmt: skip
    return {"parallel_read_safe": True, "parallel_write_safe": True}
