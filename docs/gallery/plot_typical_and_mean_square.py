"""
A trajectory of moments beside real draws
=========================================

The operator gives E‖w‖² and both losses exactly, at every step; simulated runs of the same linear
update scatter around it.
"""

import matplotlib.pyplot as plt
import numpy as np

import rmtstab as rs

rng = np.random.default_rng(0)
problem = rs.UnlearningProblem.from_factors(
    rng.standard_normal((20, 40)), rng.standard_normal((6, 40))
)
step_size = 0.2 * float(problem.critical_step_size((10, 3), 0.0))
dyn = problem.dynamics(step_size, (10, 3), 0.3)
start = rng.standard_normal(problem.rank)
path, runs = dyn.trajectory(30, start), dyn.simulate(30, 4000, 1, start)

figure, axes = plt.subplots(2, 1, figsize=(5.5, 6))
path.plot(axes[0])
runs.plot(axes[1])
axes[1].plot(np.sqrt(path.displacement), "k--", label="root of E‖w‖²")
axes[1].legend()

squares = runs.displacement**2
error = squares.std(axis=0) / np.sqrt(len(squares))
assert np.all(np.abs(squares.mean(axis=0) - path.displacement)[1:] < 5 * error[1:])
# what is ascended grows more than what is descended; both grow along the escape
forget, retain = (loss[-1] / loss[0] for loss in (path.forget_loss, path.retain_loss))
assert forget > 5 * retain > 5
