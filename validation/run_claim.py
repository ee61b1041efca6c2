"""Judge one claim: evidence and verdict as JSON, and its figure.

    python validation/run_claim.py NAME [--seed 0] [--preset quick] [--out FOLDER]

Writes NAME.json (statement, outcome, and for a theory claim the record it was judged by) and the
figures of its evidence; the exit code is 1 if the claim fails. ``rmtstab validate --list`` names
the claims.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from rmtstab.cli import main

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--out", type=Path, default=Path("reports/claims"))
    given = parser.parse_args()
    code: object = 0
    with tempfile.TemporaryDirectory() as folder:
        options = ["--seed", given.seed, "--preset", given.preset, "--out", folder]
        try:
            main(["validate", "--only", given.name, *options])
        except SystemExit as done:
            code = done.code or 0
        if code not in (0, 1):
            raise SystemExit(code)
        results = json.loads((Path(folder) / "only" / "results.json").read_text())
        given.out.mkdir(parents=True, exist_ok=True)
        (record,) = results["claims"]
        kept = {**record, "evidence": results["theory"].get(given.name)}
        (given.out / f"{given.name}.json").write_text(json.dumps(kept, indent=1) + "\n")
        for figure in (Path(folder) / "only" / "figures").glob("*.*"):
            name = figure.name if figure.stem == given.name else f"{given.name}-{figure.name}"
            shutil.copyfile(figure, given.out / name)
    raise SystemExit(code)
