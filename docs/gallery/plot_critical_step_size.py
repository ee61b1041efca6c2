"""
How large may the step be? Critical step size against batch size, for the three schemes.
========================================================================================

Full batches drawn without replacement, or by Bernoulli inclusion, reach gradient descent's
threshold 2/λ_max(D); batches with replacement keep some noise.
"""

import matplotlib.pyplot as plt
import numpy as np

import rmtstab as rs

rng = np.random.default_rng(0)
problem = rs.UnlearningProblem.from_factors(
    rng.standard_normal((30, 6)), rng.standard_normal((30, 6))
)
batches, alpha = np.arange(1, 31), 0.1
retain, forget = problem.mean_curvatures
descent = 2.0 / np.linalg.eigvalsh((1 - alpha) * retain - alpha * forget)[-1]

figure, ax = plt.subplots()
found = {}
for sampling in ("bernoulli", "without_replacement", "with_replacement"):
    found[sampling] = np.array(
        [float(problem.critical_step_size(int(b), alpha, sampling=sampling)) for b in batches]
    )
    ax.plot(batches, found[sampling], ".-", label=sampling.replace("_", " "))
ax.axhline(descent, color="k", linestyle=":", label="2/λ_max(D), the mean alone")
ax.set_xlabel("batch size")
ax.set_ylabel("critical step size")
ax.legend()

for values in found.values():
    assert np.all(np.diff(values) > -1e-12)  # larger batches never hurt
    assert np.all(values <= descent * (1 + 1e-12))
for sampling in ("bernoulli", "without_replacement"):
    assert abs(found[sampling][-1] / descent - 1) < 1e-10
assert found["with_replacement"][-1] < 0.99 * descent
# one sample a step: a subset and a draw with replacement are the same thing
assert abs(found["without_replacement"][0] / found["with_replacement"][0] - 1) < 1e-10
assert np.all(found["bernoulli"][:-1] < found["without_replacement"][:-1])
