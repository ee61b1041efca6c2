"""
Denoise a covariance: finance-like returns, a market factor, sectors, and more noise than signal.
=================================================================================================

The truth is known here, so the error of each estimate is too.
"""

import matplotlib.pyplot as plt
import numpy as np

import rmtstab as rs

rng = np.random.default_rng(3)
n_days, n_assets = 500, 250
sector = np.arange(n_assets) % 4
loadings = np.column_stack([np.full(n_assets, 0.5), 0.7 * (sector == 0), 0.7 * (sector == 1)])
truth = np.eye(n_assets) + loadings @ loadings.T
returns = rng.standard_normal((n_days, 3)) @ loadings.T + rng.standard_normal((n_days, n_assets))
sample = returns.T @ returns / n_days

values, vectors = np.linalg.eigh(sample)
found = rs.laws.MarchenkoPastur.fit(values, n_samples=n_days)
strength = rs.laws.Spiked.from_outliers(found.spikes, n_days, n_assets, scale=found.scale)


def risk(eigenvalues):
    """Variance of the least risky portfolio by this estimate, over the least possible."""
    weights = np.linalg.solve((vectors * eigenvalues) @ vectors.T, np.ones(n_assets))
    best = np.linalg.solve(truth, np.ones(n_assets)).sum()
    return weights @ truth @ weights / weights.sum() ** 2 * best


risks = {
    "sample": risk(values),
    "one eigenvalue": risk(np.where(values == values[-1], values, found.scale)),
    "shrunk": risk(found.law.shrink(values, "stein")),
}

figure, (top, bottom) = plt.subplots(2, 1, figsize=(5.5, 6))
rs.figures.spectrum(top, values[: n_assets - found.n_spikes], found.law)
top.set_title(f"bulk of variance {found.scale:.3f}, {found.n_spikes} spikes above it")
bottom.bar(list(risks), list(risks.values()))
bottom.set_ylabel("portfolio variance / least")

exact = np.sort(np.linalg.eigvalsh(truth))[:-4:-1]
assert found.n_spikes == 3 and abs(found.scale - 1) < 0.02
assert 1 <= risks["shrunk"] < 1.2 < risks["one eigenvalue"]
assert abs(risks["sample"] - 1 / (1 - n_assets / n_days)) < 0.3  # the sample doubles the risk
assert ((strength.intervals[:, 0] < exact) & (exact < strength.intervals[:, 1])).all()
# T/N is the inverse of the ratio; from_shape cannot be told the wrong one
assert rs.laws.MarchenkoPastur.from_shape(n_days, n_assets).aspect_ratio == 0.5
