"""Pass rate of claimed rates over seeds: ``python validation/rate_seeds.py mean 1 2 3 4 5``.

Each rate is judged by the claims' own rule at their own sizes and draws; thresholds are theirs.
"""

import sys

import numpy as np

from rmtstab.claims.limits import signal, volterra
from rmtstab.claims.rates import intercept, supports

RATES = {r.path: r for r in (*volterra.RATES, *signal.ESCAPE)}


def fit(path, seed):
    """Fit one rate at one seed."""
    rng = np.random.default_rng(seed)
    name, _, part = path.partition("/")
    if name in volterra.SETTINGS:
        return volterra.threshold_rate(name, rng)
    return signal.escape_rate_of(name, rng)[part]


def main(path, seeds):
    """Print each seed's slope and limit, and how many pass."""
    rate, passed = RATES[path], 0
    for seed in seeds:
        found = fit(path, seed)
        limit, error = intercept(found, rate.claimed if rate.mean is None else rate.mean)
        good = supports(found, rate.claimed, rate.others)
        good &= abs(limit) < min(3 * error, rate.share)
        passed += good
        print(
            f"{path} seed {seed}: {found['slope']:.3f} ± {found['slope_error']:.3f} "
            f"(claimed {rate.claimed:.3f}), limit {limit:+.4f} ± {error:.4f}: {bool(good)}",
            flush=True,
        )
    print(f"{path}: {passed} of {len(seeds)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], [int(seed) for seed in sys.argv[2:]])
