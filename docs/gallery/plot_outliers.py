"""
When does a signal leave the bulk?
==================================

A direction of variance ℓ shows as an eigenvalue of its own only above 1 + √γ. Below, the spectrum
holds no trace of it; above, position and overlap with the true direction are known.
"""

import matplotlib.pyplot as plt
import numpy as np

import rmtstab as rs

rng = np.random.default_rng(1)
dim, n = 400, 800
spikes = np.array([1.2, 1.5, 2.0, 3.0, 4.0, 6.0])
law = rs.laws.Spiked(dim / n, spikes)
edge = rs.laws.MarchenkoPastur(dim / n).support()[1]
top, overlap = [], []
for spike in spikes:
    rows = rng.standard_normal((dim, n))
    rows[0] *= np.sqrt(spike)
    values, vectors = np.linalg.eigh(rows @ rows.T / n)
    top.append(values[-1])
    overlap.append(vectors[0, -1] ** 2)

grid = np.linspace(1.01, 6.5, 200)
curve = rs.laws.Spiked(dim / n, grid)
figure, axes = plt.subplots(2, 1, figsize=(5.5, 6))
axes[0].plot(grid, curve.outliers(), label="law")
axes[0].plot(spikes, top, "o", label=f"largest eigenvalue, dim {dim}")
axes[0].axhline(edge, color="k", linestyle=":", label="edge of the bulk")
axes[0].set_ylabel("eigenvalue")
axes[0].legend(loc="lower right")
axes[1].plot(grid, np.nan_to_num(curve.overlaps()))
axes[1].plot(spikes, overlap, "o")
axes[1].set_ylabel("squared overlap with the signal")
for ax in axes:
    ax.axvline(law.transition, color="0.7")
    ax.set_xlabel("variance ℓ along the signal")

seen = spikes > law.transition
assert seen.tolist() == [False, False, True, True, True, True]
assert np.allclose(np.array(top)[seen], law.outliers()[seen], rtol=0.1)
assert np.allclose(np.array(top)[~seen], edge, rtol=0.05)
assert max(np.array(overlap)[~seen]) < 0.2 < 0.6 < overlap[-1]
