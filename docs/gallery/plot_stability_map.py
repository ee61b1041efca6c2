"""
Where does unlearning escape? An exact map over batch size and mixing, checked cell by cell.
============================================================================================

The forget set lies in the retain set's range, so that a positive critical mixing exists. Each dash
is a computed setting; the black line, the critical mixing of a batch size, is computed on its own.
"""

import matplotlib.pyplot as plt
import numpy as np

import rmtstab as rs

rng = np.random.default_rng(0)
problem = rs.UnlearningProblem.from_factors(
    rng.standard_normal((60, 12)), rng.standard_normal((20, 12))
)
step = 0.5 * float(problem.critical_step_size((2, 1), 0.0))
batches = [(b, max(1, b // 3)) for b in (1, 2, 4, 8, 16, 32, 60)]
found = problem.frontier(step, batches, np.linspace(0.0, 0.8, 33))
rs.figures.stability_map(plt.figure().gca(), found)

# at the frontier the growth factor is 1, and one simulated step has the operator's moments
for batch, alpha in zip(batches, found.critical_alpha, strict=True):
    if 0.0 < alpha < 1.0:
        growth = problem.dynamics(step, batch, alpha).growth()
        assert abs(growth.value - 1.0) < 1e-9
        assert growth.error_bound < 1e-6
dyn = problem.dynamics(step, (4, 1), 0.2)
w = rng.standard_normal(problem.rank)
squares = dyn.simulate(1, 20_000, rng, w).displacement[:, 1] ** 2
exact = dyn.trajectory(1, w).displacement[1]
assert abs(squares.mean() - exact) < 5 * squares.std() / np.sqrt(len(squares))
