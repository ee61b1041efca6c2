"""
What does momentum buy? Critical step size and decay against heavy-ball β.
==========================================================================

Without noise the critical step grows as 2(1+β)/λ_max. With small batches it falls as
momentum remembers the noise of 1/(1−β) steps.
"""

import matplotlib.pyplot as plt
import numpy as np

import rmtstab as rs

rng = np.random.default_rng(0)
problem = rs.UnlearningProblem.from_factors(
    rng.standard_normal((30, 6)), rng.standard_normal((30, 6))
)
betas, alpha = np.linspace(0.0, 0.95, 20), 0.1
retain, forget = problem.mean_curvatures
top = np.linalg.eigvalsh((1 - alpha) * retain - alpha * forget)[-1]

figure, ax = plt.subplots()
found = {}
for batch in (1, 4, 30):
    found[batch] = np.array(
        [float(problem.critical_step_size(batch, alpha, momentum=beta)) for beta in betas]
    )
    ax.plot(betas, found[batch], ".-", label=f"batches of {batch}")
ax.plot(betas, 2 * (1 + betas) / top, "k:", label="2(1+β)/λ_max(D), the mean alone")
ax.set_yscale("log")
ax.set_xlabel("momentum β")
ax.set_ylabel("critical step size")
ax.legend()

assert np.allclose(found[30], 2 * (1 + betas) / top, rtol=1e-9)
assert np.all(np.diff(found[30]) > 0) and np.all(np.diff(found[1]) < 0)
# near β = 1 noise limits the step in proportion to 1 − β
assert 1.6 < found[1][-2] / found[1][-1] < 2.4

# the same path from the operator on (w_k, w_{k−1}) and from one run of full batches
dyn = problem.dynamics(0.5 * found[30][12], 30, alpha, momentum=float(betas[12]))
start = rng.standard_normal(problem.rank)
path = dyn.trajectory(40, start, quantiles=[0.5], replicas=2, rng=0)
assert np.allclose(path.quantiles[0], path.displacement, rtol=1e-8)
assert dyn.operator_matrix()[0].shape == ((2 * 6) ** 2, (2 * 6) ** 2)
