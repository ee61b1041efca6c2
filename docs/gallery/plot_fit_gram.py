"""
Read the signal-to-noise ratio off a Gram matrix: a bulk, and one outlier a class.
==================================================================================

The bulk of a fitted law gives the noise, the outliers give the signal.
"""

import matplotlib.pyplot as plt
import numpy as np

import rmtstab as rs

rng = np.random.default_rng(5)
n, dim, snr = 240, 800, 0.22
patches, labels = rs.ensembles.SignalPlusNoise(n, dim, snr, noise=1.5).sample(rng)
# masks of a two-class network let each class see its own signal: one block a class
signal, noise = patches[:, 0], patches[:, 1]
same = labels[:, None] == labels
gram = (signal @ signal.T) * same + noise @ noise.T

values = np.linalg.eigvalsh(gram) / dim
found = rs.laws.MarchenkoPastur.fit(values, n_samples=dim, n_features=n)
strength = rs.laws.Spiked.from_outliers(found.spikes, dim, n, kind="additive", scale=found.scale)
sizes = np.sort([np.sum(labels > 0), np.sum(labels < 0)])[::-1]
estimate = np.sqrt(strength.spikes / found.scale / sizes)

figure, ax = plt.subplots(layout="constrained")
rs.figures.spectrum(ax, values, strength.law)
ax.set_title(f"SNR from the outliers: {estimate[0]:.3f}, {estimate[1]:.3f} (true {snr})")

assert found.n_spikes == 2  # one a class
assert abs(found.scale / 1.5**2 - 1) < 0.03
assert np.all(np.abs(estimate / snr - 1) < 0.15)
assert found.goodness(n_draws=39, rng=0) > 0.05
