"""How often the judges of the maps fail although the theory is right, and pass where it is wrong.

    python validation/false_alarms.py REPORT [--draws 1000] [--growth 1.0]

Redraws the maps of a report's results.json with its predictions taken for the truth (see
rmtstab.claims.networks.redraw), and counts by claim. With ``--growth 1.02`` real runs grow 1.02
times as fast as predicted: what is counted then is power.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np

from rmtstab.claims.networks.maps import CLAIMS
from rmtstab.claims.networks.redraw import redraw

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--growth", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    evidence = json.loads((given.report / "results.json").read_text())
    judged = [claim for claim in CLAIMS if "maps" in claim.needs]
    failed: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for rng in np.random.default_rng(given.seed).spawn(given.draws):
        drawn = redraw(evidence, rng, given.growth)
        for claim in judged:
            failed[claim.name] += claim.judge(drawn).holds is False
            if claim.judge_wrong is not None:
                passed[claim.name] += claim.judge_wrong(drawn).holds is not False
    for claim in judged:
        print(
            f"{claim.name}: fails {failed[claim.name]} of {given.draws}; "
            f"theory × 1.1 passes {passed[claim.name]}"
        )
