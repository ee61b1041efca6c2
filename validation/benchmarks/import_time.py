"""Time of ``import rmtstab`` and of its core, over that of numba and scipy.linalg alone.

Run ``python validation/benchmarks/import_time.py``; prints ratios of one run on this machine.
"""

import statistics
import subprocess
import sys
import time

FLOOR = "import numba, scipy.linalg"
CASES = {
    "import rmtstab": "import rmtstab",
    "import rmtstab, every core name": (
        "import rmtstab as rs; rs.UnlearningProblem, rs.laws, rs.ensembles, rs.curvature, "
        "rs.dynamics, rs.theory, rs.bounds"
    ),
}


def seconds(statement, repeats=7):
    """Median wall time of a fresh interpreter that runs a statement, less an empty one's."""

    def once(code):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - start

    once(statement)  # byte code and disk cache
    return statistics.median(once(statement) - once("pass") for _ in range(repeats))


if __name__ == "__main__":
    floor = seconds(FLOOR)
    for name, statement in CASES.items():
        print(f"{name} / {FLOOR}: {seconds(statement) / floor:.2f}")
