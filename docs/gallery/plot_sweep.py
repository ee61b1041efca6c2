"""
A sweep of your own
===================

A function of a generator and parameters, and axes: the result is a labelled dataset, the same to
the bit here, in processes or on a cluster.
"""

import matplotlib.pyplot as plt
import numpy as np

import rmtstab as rs
from rmtstab.sweeps import Sweep
from rmtstab.theory import volterra


def threshold_gap(rng, n):
    """Compare SGD's exact threshold with the one known before any data."""
    rows = rng.standard_normal((n, n)) / np.sqrt(n)
    problem = rs.UnlearningProblem.from_factors(rows)
    exact = float(problem.critical_step_size(2, 0.0, sampling="bernoulli"))
    before = float(volterra.isotropic_step_size(n, n, 2, "bernoulli", scale=1 / n))
    return {"gap": before / exact - 1, "exact": exact}


def repeated(rng, n, replica):
    """Leave the replica to the generator: each cell draws its own data."""
    return threshold_gap(rng, n)


sweep = Sweep(repeated, {"n": [10, 20, 40, 80], "replica": list(range(8))}, units={"n": "samples"})
found = sweep.run()
print(found)

mean, spread = found["gap"].mean("replica"), found["gap"].std("replica") / np.sqrt(8)
slope = np.polyfit(np.log(found["n"]), np.log(mean), 1)[0]
figure, ax = plt.subplots()
ax.errorbar(found["n"], mean, spread, fmt="o", capsize=3, label="mean and standard error")
guide = float(mean[0]) * (found["n"] / 10.0) ** -1
ax.plot(found["n"], guide, "--", label="proportional to 1/n")
ax.set(xscale="log", yscale="log", xlabel="samples", ylabel="closed form over exact, less 1")
ax.set_xticks(sweep.axes["n"], map(str, sweep.axes["n"]))
ax.set_yticks([0.05, 0.1, 0.2, 0.4], ["0.05", "0.1", "0.2", "0.4"])
ax.minorticks_off()
ax.legend()

assert -1.5 < slope < -0.6, slope
assert sweep.run().identical(found)  # the seed and the cell decide, nothing else
