"""Draw the figures of docs/theory/bounds: ``python docs/theory/plot_bounds.py``."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import rmtstab as rs

HERE = Path(__file__).parent / "bounds"
GROUPS = {
    "mean": ("mean",),
    "rayleigh": ("trace", "direction"),
    "coherence": (
        "single sample",
        "unlearning coherence",
        "three-axis coherence",
        "coherence convergence",
    ),
    "ritz": ("reduced", "Ritz on resolvents", "Ritz-5", "corrected Ritz"),
    "sufficient": ("one step", "operator"),
    "collatz_wielandt": ("Collatz-Wielandt", "resolvent"),
}


def evaluate(points=40):
    """Every bound and ρ along the step size: 8 retain and 6 forget samples in 4 dimensions."""
    rng = np.random.default_rng(1)
    z = rng.standard_normal((14, 4)) * rng.uniform(0.5, 1.5, (14, 1))
    problem = rs.UnlearningProblem.from_factors(z[:8], z[8:])
    setting = {"batch_size": (1, 2), "alpha": 0.02, "sampling": "without_replacement"}
    critical = float(problem.critical_step_size(setting["batch_size"], setting["alpha"]))
    assert critical > 0.0
    steps = np.linspace(0.05, 2.0, points)
    rows = []
    for step in steps:
        dyn = problem.dynamics(step_size=step * critical, **setting)
        rows.append({b.name: b.rho_bound for b in dyn.bounds()} | {"exact": dyn.growth_factor()})
    return steps, rows


def main():
    """One figure a page."""
    steps, rows = evaluate()
    exact = np.array([row["exact"] for row in rows])
    for page, names in GROUPS.items():
        draw(page, names, steps, rows, exact)


def draw(page, names, steps, rows, exact):
    """One column wide, at twice the resolution of a screen."""
    with rs.figures.style():
        figure, ax = plt.subplots(figsize=(rs.figures.COLUMN, 2.5))
        ax.plot(steps, exact, color="black", label="exact ρ")
        for k, name in enumerate(names):  # dashes in turn: curves that coincide are both seen
            ax.plot(steps, [row[name] for row in rows], ls=(3 * k, (3, 3)), label=name)
        ax.axhline(1.0, color="0.7", linewidth=0.8, zorder=0)
        ax.set(xlabel="step size / critical step size", ylabel="growth factor ρ", yscale="log")
        ax.set_ylim(0.1 * exact.min(), 2.0 * exact.max())
        ax.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(-0.15, 1.0))
        figure.savefig(HERE / f"{page}.png", dpi=220)
        plt.close(figure)


if __name__ == "__main__":
    main()
