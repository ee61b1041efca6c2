"""Write the table of outcomes into docs/validation.md, from runs' results.json.

Claims about trained networks are judged from the runs' evidence by the judges of today; theory
claims keep the verdict of the run, as their checks may draw other numbers since.

rmtstab validate --preset full --seed 0 --out reports/full-0
rmtstab validate --preset full --seed 1 --out reports/full-1
python validation/write_outcomes.py reports/full-0 reports/full-1
"""

import argparse
from pathlib import Path

from rmtstab import report
from rmtstab.claims import CLAIMS
from rmtstab.claims.pages import outcomes_table

PAGE = Path(__file__).parents[1] / "docs" / "validation.md"
BEGIN = "<!-- outcomes: written by validation/write_outcomes.py -->"
END = "<!-- end of outcomes -->"

JUDGED = {claim.name: claim for claim in CLAIMS if claim.needs_torch}


def judged(run):
    """Return a run with its network claims judged again."""
    claims = [
        JUDGED[found["name"]].record(run) if found["name"] in JUDGED else found
        for found in run["claims"]
    ]
    return {**run, "claims": claims}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="report folders of one preset")
    runs = [judged(report.read(folder)) for folder in parser.parse_args().folders]
    before, rest = PAGE.read_text().split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{outcomes_table(runs)}\n\n{END}{after}")
    print(PAGE)
