"""
The spectrum of what unlearning does on average
===============================================

Descent on retain and ascent on forget have the mix-Hessian (1 − α)H_R − αH_F. Its limit law has
negative curvature as soon as the forget set reaches a direction that retain does not hold.
"""

import matplotlib.pyplot as plt
import numpy as np

import rmtstab as rs

rng = np.random.default_rng(0)
dim, n_retain, n_forget = 200, 600, 100
retain, forget = (rng.standard_normal((dim, n)) for n in (n_retain, n_forget))
figure, axes = plt.subplots(2, 1, figsize=(5.5, 6))
lowest = {}
for ax, alpha in zip(axes, (0.03, 0.5), strict=True):
    mixed = (1 - alpha) * retain @ retain.T / n_retain - alpha * forget @ forget.T / n_forget
    values = np.linalg.eigvalsh(mixed)
    law = rs.laws.DescentAscent(dim / n_retain, dim / n_forget, alpha)
    rs.figures.spectrum(ax, values, law)
    ax.set_title(f"α = {alpha}")
    lowest[alpha] = (values[0], law.support()[0])

print(lowest)
for alpha, (found, edge) in lowest.items():
    width = np.ptp(rs.laws.DescentAscent(dim / n_retain, dim / n_forget, alpha).support())
    assert abs(found - edge) < 0.05 * width  # edges fluctuate on a scale of dim to the power −2/3
# at small mixing retain's curvature holds every direction; at a large one it does not
assert lowest[0.03][1] > 0 > lowest[0.5][1]
