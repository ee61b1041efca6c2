"""
Recover a population spectrum, and see when it cannot be done.
==============================================================

Sample eigenvalues are smeared copies of the population's. With a quarter of the features of
variance 4 two atoms are behind the bulk, and `GeneralizedMarchenkoPastur.fit` finds both with their
errors. The problem is ill-posed: as the atoms approach each other the errors grow while the gap
shrinks. Below ten standard errors between them (``is_resolved``) the errors are too small.
Intervals by the profile of the residual's square (``intervals()``) still cover, until their ends
are open: one atom explains the eigenvalues as well, and ``n_atoms="auto"`` finds one.
"""

import matplotlib.pyplot as plt
import numpy as np

import rmtstab as rs

rng = np.random.default_rng(1)
n, p = 400, 200


def eigenvalues(second):
    """Of a sample covariance: three quarters of variance 1, the others of another."""
    scale = np.sqrt(np.repeat([1.0, second], [3 * p // 4, p // 4]))
    return np.linalg.svd(rng.standard_normal((n, p)) * scale, compute_uv=False) ** 2 / n


values = eigenvalues(4.0)
fit = rs.laws.GeneralizedMarchenkoPastur.fit(values, n_samples=n)
seconds = np.array([1.2, 1.4, 1.7, 2.0, 3.0, 4.0, 6.0])
fits = [
    rs.laws.GeneralizedMarchenkoPastur.fit(eigenvalues(second), n_samples=n, n_atoms=2)
    for second in seconds
]

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
rs.figures.spectrum(left, values, fit.law)
for atom in fit.atoms:
    left.axvline(atom, color="C3", linestyle=":")
left.set_title("atoms " + " and ".join(f"{a:.2f}" for a in fit.atoms))
for second, found in zip(seconds, fits, strict=True):
    color = "C0" if found.is_resolved else "0.6"
    sides = found.intervals()
    lengths = np.abs(sides.atoms - found.atoms[:, None]).T  # open ends reach beyond the axes
    lengths = np.where(np.isfinite(lengths), lengths, 100.0)
    places = second * np.array([0.985, 1.015])  # side by side
    right.errorbar(places, found.atoms, lengths, fmt="o", color=color, capsize=3)
right.plot(seconds, seconds, "k:", seconds, np.ones_like(seconds), "k:")
right.set(
    xlabel="true second atom", ylabel="atoms found, 95 % intervals", yscale="log", ylim=(0.3, 9)
)
right.set_yticks([0.5, 1, 2, 5], ["0.5", "1", "2", "5"])
right.set_yticks([], minor=True)
right.set_title("grey: not resolved")

assert fit.n_atoms == 2 and fit.is_resolved and fit.p_value > 0.01
assert (np.abs(fit.atoms - [1, 4]) < 3 * fit.atom_errors).all()
assert (np.abs(fit.weights - [0.75, 0.25]) < 3 * fit.weight_errors).all()
resolved = np.array([found.is_resolved for found in fits])
covered = [
    (found.intervals().atoms - [[1], [second]]) for second, found in zip(seconds, fits, strict=True)
]
assert sum((low <= 0) & (high >= 0) for sides in covered for low, high in sides) >= 12  # of 14
assert resolved[-3:].all() and not resolved[:2].any()
assert rs.laws.GeneralizedMarchenkoPastur.fit(eigenvalues(1.1), n_samples=n).n_atoms == 1
