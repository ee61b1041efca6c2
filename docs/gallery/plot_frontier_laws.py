"""
Three frontiers on one map: mean square, typical runs, shuffled epochs
======================================================================

The map's colours and marks are exact, and say what the mean square does. Closed forms add what
almost every run does, and what it does under epoch shuffling: solid where they can be trusted.
"""

import matplotlib.pyplot as plt
import numpy as np

import rmtstab as rs

rng = np.random.default_rng(0)
problem = rs.UnlearningProblem.from_factors(
    rng.standard_normal((60, 12)), rng.standard_normal((20, 12))
)
step = 0.1 * float(problem.critical_step_size((2, 1), 0.0))
batches = [(b, max(1, b // 3)) for b in (1, 2, 4, 8, 16)]
found = problem.frontier(step, batches, np.linspace(0.22, 0.26, 13))
laws = problem.frontier_laws(step, batches)

with rs.figures.style():
    figure, axes = plt.subplots(figsize=(rs.figures.COLUMN, 3.6))
    rs.figures.stability_map(axes, found)
    rs.figures.frontier_laws(axes, laws)

# within its range the law is within an eighth of its distance from the mean's frontier
shift, exact = laws.mean_square - laws.mean, found.critical_alpha - laws.mean
assert laws.is_valid[2:].all() and not laws.is_valid[0]
assert np.all(np.abs(exact - shift)[laws.is_valid] < 0.125 * np.abs(shift)[laws.is_valid])
# between the mean's frontier and the typical one the mean escapes, and almost no run does
assert np.all(laws.mean_square < laws.mean) and np.all(laws.mean < laws.typical)
assert np.all(laws.typical < laws.shuffled)
proved = problem.dynamics(step, (4, 1), laws.mean + 0.2 * (laws.typical[2] - laws.mean))
assert proved.growth_factor() > 1.0 and proved.lyapunov_bounds().is_contracting
