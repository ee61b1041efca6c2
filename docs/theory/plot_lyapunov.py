"""Draw the figure of the Lyapunov bounds' page: ``python docs/theory/plot_lyapunov.py``."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import rmtstab as rs

rng = np.random.default_rng(0)
problem = rs.UnlearningProblem.from_factors(rng.standard_normal((12, 4)))
critical = float(problem.critical_step_size(1, 0.0))
shares = np.linspace(0.7, 1.3, 13)
found = [problem.dynamics(critical * s, 1).lyapunov_bounds() for s in shares]
runs = [problem.dynamics(critical * s, 1).lyapunov(0, replicas=200, steps=2000) for s in shares]

fig, ax = plt.subplots(figsize=(3.5, 2.8), layout="constrained")
ax.axhline(0.0, color="0.6", lw=0.8)
ax.plot(shares, [b.mean_square for b in found], color="#D55E00", label="mean square, ½ log ρ")
ax.plot(shares, [b.upper for b in found], color="#0072B2", label="proved upper bound")
ax.plot(shares, [r.value for r in runs], "o", ms=4, color="0.2", label="typical rate, 200 runs")
ax.set(xlabel="step size η / η* of the mean square", ylabel="rate per step")
ax.legend(frameon=False, fontsize=8)
fig.savefig(Path(__file__).parent / "lyapunov.png", dpi=160)
