"""Write the table of outcomes into docs/validation.md, from runs' results.json.

rmtstab validate --preset full --seed 0 --out reports/full-0
rmtstab validate --preset full --seed 1 --out reports/full-1
python validation/write_outcomes.py reports/full-0 reports/full-1
"""

import argparse
from pathlib import Path

from rmtstab import report
from rmtstab.claims.pages import outcomes_table

PAGE = Path(__file__).parents[1] / "docs" / "validation.md"
BEGIN = "<!-- outcomes: written by validation/write_outcomes.py -->"
END = "<!-- end of outcomes -->"

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="report folders of one preset")
    runs = [report.read(folder) for folder in parser.parse_args().folders]
    before, rest = PAGE.read_text().split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{outcomes_table(runs)}\n\n{END}{after}")
    print(PAGE)
