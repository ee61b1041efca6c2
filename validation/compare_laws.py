"""What other libraries return against tests/reference/laws.json, and how fast.

Runs in any environment with NumPy and the library measured; rmtstab is not needed:

    python -m venv other && other/bin/pip install scikit-rmt TracyWidom
    other/bin/python validation/compare_laws.py
"""

import json
import time
from pathlib import Path

import numpy as np

ENTRIES = json.loads((Path(__file__).parents[1] / "tests" / "reference" / "laws.json").read_text())[
    "entries"
]


def report(name, found):
    """Print the worst relative error of each quantity, and where it is."""
    for kind in sorted({k for k, *_ in found}):
        errors = [(err, where) for k, err, where in found if k == kind]
        bad = sum(not np.isfinite(err) for err, _ in errors)
        finite = [v for v in errors if np.isfinite(v[0])]
        worst = max(finite, default=(np.nan, "-"))
        print(
            f"{name:12s} {kind:8s} {len(errors):3d} values, {bad} NaN, "
            f"worst {worst[0]:.1e} at {worst[1]}"
        )


def relative(value, exact):
    """Return |value/exact - 1|."""
    return abs(float(value) / exact - 1.0)


def median_time(function, repeats=3):
    """Return the median wall-clock time of a call, after one."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def tracy_widom_package():
    """Measure the package TracyWidom."""
    from TracyWidom import TracyWidom

    found = []
    for e in ENTRIES:
        parts = e["id"].split("_")
        if parts[0] in ("tw1", "tw2", "tw4") and parts[1] in ("cdf", "sf", "pdf", "ppf"):
            law, p, exact = TracyWidom(e["params"]["beta"]), e["params"], float(e["value"])
            if parts[1] == "sf":
                value = 1.0 - law.cdf(float(p["s"]))
            elif parts[1] == "ppf":
                value = law.cdfinv(float(p["p"]))
            else:
                value = getattr(law, parts[1])(float(p["s"]))
            found.append((parts[1], relative(value, exact), e["id"]))
    report("TracyWidom", found)
    law, x = TracyWidom(2), np.random.default_rng(0).uniform(-8, 6, 10**6)
    print(f"TracyWidom   cdf, 1e6 points: {median_time(lambda: law.cdf(x)):.3f} s")
    print(f"TracyWidom   pdf, 1e6 points: {median_time(lambda: law.pdf(x)):.3f} s")


def scikit_rmt():
    """Measure scikit-rmt."""
    from skrmt.ensemble.spectral_law import MarchenkoPasturDistribution, TracyWidomDistribution

    found = []
    for e in ENTRIES:
        parts, p, exact = e["id"].split("_"), e["params"], float(e["value"])
        if parts[0] == "mp" and parts[1] in ("cdf", "pdf", "sf"):
            law = MarchenkoPasturDistribution(ratio=float(p["ratio"]))
            x = float(p["x"])
            value = 1.0 - law.cdf(x) if parts[1] == "sf" else getattr(law, parts[1])(x)
            found.append((f"mp {parts[1]}", relative(value, exact), e["id"]))
        elif parts[0] in ("tw1", "tw2", "tw4") and parts[1] in ("cdf", "pdf"):
            law = TracyWidomDistribution(beta=p["beta"])
            value = getattr(law, parts[1])(float(p["s"]))
            found.append((f"tw {parts[1]}", relative(value, exact), e["id"]))
    report("scikit-rmt", found)
    two = MarchenkoPasturDistribution(ratio=2)
    print("scikit-rmt   MP ratio 2: cdf(0) =", two.cdf(0.0), "(the atom is 0.5)")
    try:
        print("scikit-rmt   MP ratio 2: sample mean", np.mean(two.rvs(size=20000)), "(1)")
        print("scikit-rmt   MP ratio 1: samples", MarchenkoPasturDistribution(ratio=1).rvs(size=3))
    except Exception as error:  # what it raises is the finding
        print("scikit-rmt   rvs raises", repr(error))
    law = MarchenkoPasturDistribution(ratio=0.5)
    x = np.random.default_rng(0).uniform(0.1, 2.9, 10**6)
    for name in ("cdf", "pdf"):
        print(
            f"scikit-rmt   MP {name}, 1e6 points: "
            f"{median_time(lambda n=name: getattr(law, n)(x)):.4f} s"
        )
    start = time.perf_counter()
    law.ppf(np.linspace(0.1, 0.9, 20))
    print(f"scikit-rmt   MP ppf: {(time.perf_counter() - start) / 20 * 1e3:.2f} ms a point")


if __name__ == "__main__":
    with np.errstate(all="ignore"):
        for measure in (tracy_widom_package, scikit_rmt):
            try:
                measure()
            except ImportError as error:
                print(f"{measure.__name__}: not installed ({error})")
