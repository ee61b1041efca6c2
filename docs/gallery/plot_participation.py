"""
Which samples drive the escape?
===============================

The dominating mode of growth says which samples carry it. One forget sample of ten times the usual
curvature is enough to lead a whole model out.
"""

import matplotlib.pyplot as plt
import numpy as np

import rmtstab as rs

rng = np.random.default_rng(2)
retain, forget = rng.standard_normal((30, 60)), rng.standard_normal((10, 60))
forget[3] *= np.sqrt(10.0)
problem = rs.UnlearningProblem.from_factors(retain, forget)
step_size = 0.3 * float(problem.critical_step_size((4, 2), 0.0))
growth = problem.dynamics(step_size, (4, 2), 0.3).growth()
ax = growth.plot(plt.figure().add_subplot())
ax.set_title(f"ρ = {growth.value:.3f}: {growth.verdict.value}")

assert np.argmax(growth.participation) == 30 + 3
assert growth.participation[33] > 0.5
assert np.isclose(growth.participation.sum(), 1.0)

# without it the model leaves more slowly
calm = rs.UnlearningProblem.from_factors(retain, np.delete(forget, 3, axis=0))
assert calm.dynamics(step_size, (4, 2), 0.3).growth_factor() < growth.value
