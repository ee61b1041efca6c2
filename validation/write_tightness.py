"""Write docs/theory/tightness.md and its figure from a run's results.json.

rmtstab validate --preset quick --only tightness-ledger --out reports/ledger
python validation/write_tightness.py reports/ledger/only
"""

import argparse
import shutil
from pathlib import Path

from rmtstab import report
from rmtstab.claims.pages import tightness_page

DOCS = Path(__file__).parents[1] / "docs" / "theory"

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="report folder that judged tightness-ledger")
    folder = parser.parse_args().folder
    (DOCS / "tightness.md").write_text(tightness_page(report.read(folder)))
    shutil.copyfile(folder / "figures" / "tightness-ledger.png", DOCS / "tightness.png")
    print(DOCS / "tightness.md")
