"""
Denoise a covariance: where shrinkage beats clipping, and where it does not.
============================================================================

Finance-like returns of 200 assets over 400 days: three hidden factors that raise three eigenvalues
of the covariance from 1 to ℓ, and noise. The truth is known, so the error of each estimate is too.
Both estimates keep the sample's eigenvectors and average the bulk; *clipping* keeps eigenvalues
above the bulk's edge as they are, *shrinkage* moves each to where the Frobenius error is least.

A sample eigenvalue is too large, and its eigenvector points only partly along its factor. Near the
transition ℓ = 1 + √γ this matters most, and clipping makes several times the error of shrinkage.
For strong factors nothing is gained: what remains is the sampling error of the eigenvalues, which
no shrinkage removes. Nor for another loss, the risk of the least risky portfolio: what counts
there is the bulk, which both average.
"""

import matplotlib.pyplot as plt
import numpy as np

import rmtstab as rs

rng = np.random.default_rng(3)
n_days, n_assets, n_factors, n_draws = 400, 200, 3, 6
strengths = np.array([2.0, 2.5, 3.5, 6.0, 15.0, 60.0])
law = rs.laws.MarchenkoPastur.from_shape(n_days, n_assets)  # T/N is the inverse of its ratio


def draw(strength):
    """Returns, and their covariance."""
    directions = np.linalg.qr(rng.standard_normal((n_assets, n_factors)))[0]
    noise = rng.standard_normal((n_days, n_assets))
    returns = noise + (np.sqrt(strength) - 1) * (noise @ directions) @ directions.T
    return returns, np.eye(n_assets) + (strength - 1) * directions @ directions.T


def estimates(returns):
    """Eigenvectors, and eigenvalues as they are, clipped and shrunk."""
    values, vectors = np.linalg.eigh(returns.T @ returns / n_days)
    fit = rs.laws.MarchenkoPastur.fit(values, n_samples=n_days)
    clipped = np.where(values > fit.law.support()[1], values, fit.scale)
    return vectors, (values, clipped, fit.law.shrink(values, "frobenius"))


def errors(strength):
    """Squared Frobenius error and risk over the least possible, of the three estimates."""
    returns, truth = draw(strength)
    vectors, spectra = estimates(returns)
    ones, found = np.ones(n_assets), []
    for spectrum in spectra:
        estimate = (vectors * spectrum) @ vectors.T
        weights = np.linalg.solve(estimate, ones)
        risk = (
            weights @ truth @ weights / weights.sum() ** 2 * (ones @ np.linalg.solve(truth, ones))
        )
        found.append((np.sum((estimate - truth) ** 2), risk))
    return found


measured = np.array([[errors(s) for _ in range(n_draws)] for s in strengths]).mean(axis=1)
sample, clipped, shrunk = np.moveaxis(measured, 1, 0)


def theory(strength):
    """Limits of the two squared errors, and the eigenvalues' sampling error of order 1/n."""
    spiked = rs.laws.Spiked(law.aspect_ratio, [strength])
    c = spiked.overlaps()[0]
    direction = np.array([np.sqrt(c), np.sqrt(1 - c)])
    plane = np.diag([strength, 1.0]) - np.eye(2)
    raised = spiked.outliers()[0] - 1, (strength - 1) * c
    spread = strength**2 * n_factors * (n_factors + 1) / n_days
    spread *= 1 - law.aspect_ratio / (strength - 1) ** 2
    line = np.outer(direction, direction)
    return [n_factors * np.sum((plane - r * line) ** 2) + spread for r in raised]


grid = np.geomspace(1.75, 70, 60)
limits = np.array([theory(s) for s in grid])

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for column, points, label in ((0, clipped, "clipped"), (1, shrunk, "shrunk")):
    color = f"C{column}"
    left.loglog(grid, limits[:, column], color=color)
    left.loglog(strengths, points[:, 0], "os"[column], color=color, label=label)
    right.semilogx(strengths, points[:, 1], "os-"[column], color=color, label=label)
left.axvline(1 + np.sqrt(law.aspect_ratio), color="0.6", linestyle=":")
left.set(xlabel="strength of the factors", ylabel="squared Frobenius error")
left.set_title("near the transition shrinkage wins")
left.legend()
right.set(xlabel="strength of the factors", ylabel="risk / least possible", ylim=(1, 1.03))
right.set_title("the portfolio does not see it")
right.legend()

for ax in (left, right):
    ax.set_xticks(strengths, [f"{s:g}" for s in strengths])
    ax.set_xticks([], minor=True)

ratio = clipped[:, 0] / shrunk[:, 0]
assert (ratio[:-1] > 1).all() and ratio[0] > 2 and abs(ratio[-1] - 1) < 0.05  # theory: 4.1, 1.01
assert (np.abs(clipped[:, 1] - shrunk[:, 1]) < 0.01).all()
assert (sample[:, 1] > 1.7).all()  # the sample itself: about 1/(1 - γ) = 2
expected = np.array([theory(s) for s in strengths])
assert (np.abs(np.log(measured[:, 1:, 0] / expected)) < np.log(1.4)).all()

# one strong draw: how strong are the factors, with intervals
returns, truth = draw(15.0)
values = np.linalg.eigvalsh(returns.T @ returns / n_days)
fit = rs.laws.MarchenkoPastur.fit(values, n_samples=n_days)
found = rs.laws.Spiked.from_outliers(fit.spikes, n_days, n_assets, scale=fit.scale)
assert (found.intervals[:, 0] < 15).all() and (found.intervals[:, 1] > 15).all()
assert fit.n_spikes == n_factors and abs(fit.scale - 1) < 0.03
