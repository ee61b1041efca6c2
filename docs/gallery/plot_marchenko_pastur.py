"""
Eigenvalues against the Marchenko–Pastur law
============================================

The spectrum of a Gram matrix of noise is known before it is drawn, edges and atom included; the
distance to the law falls like one over the number of rows.
"""

import matplotlib.pyplot as plt
import numpy as np

import rmtstab as rs

rng = np.random.default_rng(0)
figure, ax = plt.subplots()
distances = []
for dim in (50, 200, 800):
    law = rs.laws.MarchenkoPastur(aspect_ratio=0.5)
    rows = rng.standard_normal((dim, 2 * dim))
    values = np.linalg.eigvalsh(rows @ rows.T / (2 * dim))
    empirical = (np.arange(dim) + 0.5) / dim
    distances.append(np.abs(law.cdf(values) - empirical).max())
rs.figures.spectrum(ax, values, law)
print({dim: f"{d:.4f}" for dim, d in zip((50, 200, 800), distances, strict=True)})

# not the 1/√dim of independent draws: eigenvalues repel each other
assert distances[0] > 4 * distances[2]
assert distances[2] < 0.01
# more rows than columns: an atom at 0 holds the difference
((place, mass),) = rs.laws.MarchenkoPastur(2.0).atoms()
assert (place, mass) == (0.0, 0.5)
