"""A diagnosis as one HTML page that needs nothing beside it."""

from __future__ import annotations

import base64
import html
import io
from typing import Any

from rmtstab.bridge.diagnosis_words import sentences
from rmtstab.bridge.pictures import diagnosis_figure

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } img { max-width: 100% } details { margin: 1rem 0 }
pre { background: #f4f4f4; padding: .8rem; overflow-x: auto; font-size: 12px }
"""


def page(answer: Any) -> str:
    """The answer, its reasons, the figures, and the numbers as JSON."""
    buffer = io.BytesIO()
    diagnosis_figure(answer).savefig(buffer, format="svg", metadata={"Date": None})
    picture = base64.b64encode(buffer.getvalue()).decode()
    head, *rest = sentences(answer)
    paragraphs = "".join(
        f"<p>{'<br>'.join(html.escape(line) for line in block.splitlines())}</p>"
        for block in "\n".join(rest).split("\n\n")
    )
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Unlearning diagnosis: {answer.outcome}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style>
<h1>{html.escape(head)}</h1>
<p><img alt="Predicted losses and accuracies over the steps, and outcomes over step size and alpha"
src="data:image/svg+xml;base64,{picture}"></p>
<p>Lines: median predicted run, bands 10–90 %. Crosses: the true network at the predicted
weights of one run. Shaded: beyond the range of the prediction. Red square: the given setting;
numbers: step at which it forgets.</p>
{paragraphs}
<details><summary>Numbers (JSON)</summary><pre>{html.escape(answer.to_json())}</pre></details>
</html>
"""
