"""Draw the figure of the mirror law's page: ``python docs/theory/plot_mirror.py``."""

import itertools
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import scipy.linalg
from scipy.optimize import brentq

import rmtstab as rs
from rmtstab.theory.mirror import MirrorLaw

rng = np.random.default_rng(3)
Z = rng.standard_normal((10, 3)) * rng.uniform(0.6, 1.4, (10, 1)) + np.array([1.0, 0.0, 0.0])
RETAIN, FORGET = np.einsum("ni,nj->nij", Z[:6], Z[:6]), np.einsum("ni,nj->nij", Z[6:], Z[6:])
BATCH = (1, 1)


def lyapunov(alpha, step, runs=400, steps=4000):
    """Typical rate of independent batches, by simulation with common random numbers."""
    stream = np.random.default_rng(0)
    pairs = itertools.product(RETAIN, FORGET)
    maps = np.array([np.eye(3) - step * ((1 - alpha) * r - alpha * f) for r, f in pairs])
    w, total = np.ones((runs, 3)), np.zeros(runs)
    for k in range(steps):
        w = np.einsum("kij,kj->ki", maps[stream.integers(len(maps), size=runs)], w)
        norm = np.linalg.norm(w, axis=1)
        w /= norm[:, None]
        total += np.log(norm) if k >= 600 else 0.0
    return total.mean() / (steps - 600)


def shuffled(alpha, step, epochs=4000):
    """The same under shuffling: epochs of twelve steps use each retain sample twice."""
    stream = np.random.default_rng(0)
    w, total = np.ones(3), 0.0
    for k in range(epochs):
        for i, j in zip(
            np.concatenate([stream.permutation(6) for _ in range(2)]),
            np.concatenate([stream.permutation(4) for _ in range(3)]),
            strict=True,
        ):
            w = w - step * ((1 - alpha) * RETAIN[i] @ w - alpha * FORGET[j] @ w)
        norm = np.linalg.norm(w)
        w /= norm
        total += np.log(norm) if k >= 600 else 0.0
    return total / (12 * (epochs - 600))


values, vectors = scipy.linalg.eigh(FORGET.mean(0), RETAIN.mean(0))
law = MirrorLaw.from_hessians(RETAIN, FORGET, vectors[:, -1])
problem = rs.UnlearningProblem.from_factors(Z[:6], Z[6:])
steps = np.linspace(0.0, 0.08, 40)
split = [law.frontiers(s, BATCH, "without_replacement") for s in steps]
fig, ax = plt.subplots(figsize=(3.5, 2.8), layout="constrained")
points = np.array([0.01, 0.02, 0.04, 0.06, 0.08])
exact = [float(problem.critical_alpha(s, BATCH)) for s in points]
start = law.mean_frontier
bracket = 0.7 * start, 1.8 * start
typical = [brentq(lyapunov, *bracket, args=(s,), xtol=1e-4) for s in points]
epoch = [brentq(shuffled, *bracket, args=(s,), xtol=1e-4) for s in points]
for name, found, marks, colour in (
    ("shuffled", [s.shuffled for s in split], epoch, "#009E73"),
    ("typical", [s.typical for s in split], typical, "#0072B2"),
    ("mean square", [s.mean_square for s in split], exact, "#D55E00"),
):
    ax.plot(steps, found, color=colour, label=name)
    ax.plot(points, marks, "o", ms=4, color=colour)
ax.axhline(start, color="0.6", lw=0.8, ls=":")
ax.annotate("mean", (0.08, start), ha="right", va="bottom", color="0.4", fontsize=8)
ax.set(xlabel="step size η", ylabel="critical mixing α*", xlim=(0, 0.084))
ax.legend(frameon=False, fontsize=8, title="lines: law; dots: exact, runs", title_fontsize=8)
fig.savefig(Path(__file__).parent / "mirror.png", dpi=160)
