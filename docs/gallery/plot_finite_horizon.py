"""
Not yet gone: a map at a finite horizon
=======================================

Where the forget set has directions of its own, every mixing escapes in the end. How much mixing a
model takes for K steps is another question, with another map.
"""

import matplotlib.pyplot as plt
import numpy as np

import rmtstab as rs

rng = np.random.default_rng(0)
problem = rs.UnlearningProblem.from_factors(
    rng.standard_normal((24, 60)), rng.standard_normal((8, 60))
)
step_size = 0.5 * float(problem.critical_step_size((2, 1), 0.0))
batches, alphas = [(2, 1), (4, 2), (12, 4), (24, 8)], np.linspace(0.0, 0.5, 11)
forever = problem.frontier(step_size, batches, alphas)
assert np.all(forever.critical_alpha == 0.0)

figure, axes = plt.subplots(2, 1, figsize=(5.5, 6))
critical = {}
for ax, horizon in zip(axes, (10, 60), strict=True):
    found = problem.frontier(step_size, batches, alphas, horizon=horizon, radius=3.0)
    found.plot(ax)
    critical[horizon] = found.critical_alpha

assert np.all(critical[10] > critical[60])  # more steps, less mixing
assert np.all(critical[60] > 0.0)
# at the critical mixing the mean square has just reached the radius
path = problem.dynamics(step_size, (4, 2), critical[60][1]).trajectory(60)
assert np.isclose(path.displacement[-1] / path.displacement[0], 9.0, rtol=1e-3)
