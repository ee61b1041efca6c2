"""
How much weight decay holds the model?
======================================

Weight decay adds the same curvature to every direction; it makes room for ascent in those that
retain does not see.
"""

import matplotlib.pyplot as plt
import numpy as np

import rmtstab as rs

rng = np.random.default_rng(0)
problem = rs.UnlearningProblem.from_factors(
    rng.standard_normal((30, 50)) / 7.0, rng.standard_normal((10, 50)) / 7.0
)
decays = np.geomspace(1e-3, 0.3, 12)
figure, ax = plt.subplots()
for batch in ((30, 10), (4, 2)):
    found = [
        float(problem.critical_alpha(0.5, batch, weight_decay=float(decay))) for decay in decays
    ]
    ax.plot(decays, found, "o-", label=f"batches {batch[0]}/{batch[1]}")
    if batch == (30, 10):
        full = np.array(found)
    else:
        small = np.array(found)
# full batches: (1 − α)H_R − αH_F + λ loses its lowest direction at 0
retain, forget = problem.mean_curvatures
mean = [
    next(a for a in np.linspace(0, 1, 2001) if np.linalg.eigvalsh(
        (1 - a) * retain - a * forget + decay * np.eye(problem.rank))[0] < 0)
    for decay in decays[:9]
]  # fmt: skip
ax.plot(decays[:9], mean, "k:", label="mean alone")
ax.set(xscale="log", xlabel="weight decay (curvature)", ylabel="critical mixing α*")
ax.legend()

assert np.all(np.diff(full) >= 0) and np.all(np.diff(small) >= 0)
assert np.allclose(full[:9], mean, atol=1e-3)
assert np.all(small <= full + 1e-9)  # noise never helps
