"""How often each theory claim fails at seeds that chose nothing.

    python validation/claim_seeds.py --first 1000 --count 20 [NAME ...]
    python validation/claim_seeds.py --table

The claims are judged as ``rmtstab validate`` judges them, of the same draws at the same seed, and
fail also if they hold of their wrong theory. Counts are kept in results/claim_seeds.json, by claim
and seed; ``--table`` writes them into docs/validation.md.
"""

import argparse
import json
from pathlib import Path

from rmtstab.claims import CLAIMS
from rmtstab.claims.pages import seeds_table
from rmtstab.sweeps import Cell

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "claim_seeds.json"
PAGE = HERE.parent / "docs" / "validation.md"
BEGIN = "<!-- seeds: written by validation/claim_seeds.py -->"
END = "<!-- end of seeds -->"
THEORY = {claim.name: claim for claim in CLAIMS if claim.check is not None}


def outcome(claim, seed):
    """Judge one claim at one seed."""

    def rng():
        return Cell.of("theory", seed, name=claim.name).rng()

    evidence = {"theory": {claim.name: claim.check(rng())}}
    if claim.mutation is not None and claim.judge_wrong is None:
        evidence["mutations"] = {claim.name: claim.check(rng(), claim.mutation)}
    record = claim.record(evidence)
    return {"holds": record["holds"], "value": record["value"], "error_bar": record["error_bar"]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    if given.table:
        before, rest = PAGE.read_text().split(BEGIN)
        _, after = rest.split(END)
        table = seeds_table(json.loads(RESULTS.read_text()))
        PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}")
        raise SystemExit
    for seed in range(given.first, given.first + given.count):
        for name in given.names or THEORY:
            found = outcome(THEORY[name], seed)
            kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
            kept.setdefault(name, {})[str(seed)] = found
            RESULTS.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
            print(name, seed, found["holds"], found["value"], flush=True)
