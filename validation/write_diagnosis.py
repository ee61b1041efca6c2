"""Judge the diagnosis' evidence: docs/diagnosis_accuracy.md and its figure.

    python validation/write_diagnosis.py [--check]

With ``--check`` the exit code is 1 if a claim fails.
"""

import argparse
import json
from pathlib import Path

from matplotlib.figure import Figure

from rmtstab import figures
from rmtstab.claims.diagnosis_page import diagnosis_page
from rmtstab.claims.networks import diagnosis

DOCS = Path(__file__).parents[1] / "docs"

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    strict = parser.parse_args().check
    rows = json.loads((DOCS / "evidence" / "diagnosis.json").read_text())
    (DOCS / "diagnosis_accuracy.md").write_text(diagnosis_page(rows))
    judged = [diagnosis.tradeoff(row) for row in rows if "flags" in row]
    with figures.style():
        figure = Figure(figsize=(figures.COLUMN, 2.5))
        figures.trust_tradeoff(figure.add_subplot(), judged)
        figure.savefig(DOCS / "diagnosis_tradeoff.png")
    failed = []
    for claim in diagnosis.CLAIMS:
        found = claim.judge({"diagnosis": rows})
        print(f"{'holds' if found.holds else 'FAILS'}  {claim.name}: {found.value:.3f}")
        failed += [] if found.holds else [claim.name]
    raise SystemExit(1 if strict and failed else 0)
