"""Run benchmarks and keep what they print, with the machine, its load and the versions.

python validation/benchmarks/record.py [NAME ...]   # default: all; minutes each
python validation/write_pages.py                    # then docs/performance.md

Each runs in a process of its own, on one BLAS thread; what was kept of others stays.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from rmtstab.sweeps import versions

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "performance.json"
ARGUMENTS = {
    "import_time": [],
    "laws": [],
    "finite_n": [],
    "second_moment": [],
    "growth": ["1000"],
    "stability_map": [],
    "horizon_map": [],
    "bounds": [],
    "coherence": [],
    "simulation": [],
    "cnn_gram": [],
    "bridge": [],
    "peers": [],
    "diagnosis": [],
    "sweeps": [],
}
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def processor():
    """Name of the processor, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def measure(name):
    """Run one benchmark and return everything worth keeping of it; nothing where it fails."""
    command = [sys.executable, f"validation/benchmarks/{name}.py", *ARGUMENTS[name]]
    environment = {**os.environ, **dict.fromkeys(THREADS, "1"), "PYTHONPATH": "."}
    load, started = os.getloadavg()[0], time.perf_counter()
    process = subprocess.Popen(
        command, cwd=HERE.parents[1], env=environment, stdout=subprocess.PIPE, text=True
    )
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        return {}
    return {
        "command": " ".join(["python", *command[1:]]),
        "output": output.rstrip(),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "wall_seconds": round(time.perf_counter() - started, 1),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
        "cores": os.cpu_count(),
        "processor": processor(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": versions(),
    }


def main():
    """Measure what was asked for, and store it at once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ARGUMENTS))
    names = parser.parse_args().names or list(ARGUMENTS)
    for name in names:
        if name not in ARGUMENTS:
            parser.error(f"NAME must be one of {', '.join(ARGUMENTS)}, got {name!r}")
    failed = []
    for name in names:
        found = measure(name)
        if not found:
            failed.append(name)
            continue
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps({**kept, name: found}, indent=1, ensure_ascii=False) + "\n")
        print(f"{name}: {found['cpu_seconds']} s of processor time", flush=True)
    if failed:  # the others were measured all the same
        raise SystemExit(f"failed, with what they said above: {', '.join(failed)}")


if __name__ == "__main__":
    main()
