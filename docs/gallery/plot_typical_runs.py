"""
Mean square against typical runs: who carries E‖w‖²?
====================================================

Where mini-batch noise drives an escape, the mean square is carried by runs too rare to be seen.
Where the mean drives it, every run does what the mean square does.
"""

import matplotlib.pyplot as plt
import numpy as np

import rmtstab as rs

rng = np.random.default_rng(0)
problem = rs.UnlearningProblem.from_factors(
    rng.standard_normal((40, 8)), rng.standard_normal((10, 8))
)
steps = 100
noisy = problem.dynamics(1.1 * float(problem.critical_step_size((2, 1), 0.1)), (2, 1), 0.1)
driven = problem.dynamics(0.1 * float(problem.critical_step_size((20, 5))), (30, 8), 0.6)

figure, axes = plt.subplots(2, 1, figsize=(5.5, 6))
paths = []
for ax, dyn in zip(axes, (noisy, driven), strict=True):
    path = dyn.trajectory(steps, quantiles=(0.1, 0.5, 0.9), replicas=400, rng=1)
    paths.append(path)
    low, median, high = path.quantiles
    ax.fill_between(range(steps + 1), low, high, color="0.85", label="10–90 % of runs")
    ax.semilogy(median, color="k", label="median run")
    ax.semilogy(path.displacement, "--", color="#D55E00", label="mean square, exact")
    ax.set_title(dyn.reason().name.lower().replace("_", " "))
    ax.set_xlabel("step")
axes[0].set_ylabel("‖w‖²")
axes[0].legend()

assert noisy.reason() is rs.Reason.NOISE_DRIVEN
assert driven.reason() is rs.Reason.ASCENT_DIRECTION
gaps = [np.log(path.displacement[-1] / path.quantiles[1, -1]) for path in paths]
print(f"log(mean square / median) after {steps} steps: {gaps[0]:.1f} and {gaps[1]:.2f}")
# the typical run of the first decays while its mean square grows
assert paths[0].displacement[-1] > 1.0 > paths[0].quantiles[1, -1]
assert gaps[0] > 5.0 and abs(gaps[1]) < 1.0
# the typical slope is the Lyapunov exponent, at most half the logarithm of ρ
assert noisy.lyapunov(0).value < 0.0 < noisy.escape_rate()
