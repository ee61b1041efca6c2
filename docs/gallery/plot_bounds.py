"""
How much do a few numbers tell? Closed-form bounds around the exact growth factor.
==================================================================================

Two data sets of equal sharpness: in one the samples share their direction (high coherence), in the
other each has its own (low coherence). The coherence theorem says which must diverge first.
"""

import matplotlib.pyplot as plt
import numpy as np

import rmtstab as rs
from rmtstab.theory.coherence_bounds import CoherenceBound, three_axes

rng = np.random.default_rng(0)
n_retain, n_forget, dim = 24, 8, 64
noise = rng.standard_normal((n_retain + n_forget, dim)) / np.sqrt(dim)
signal = 2.0 * np.eye(dim)[0]

steps = np.linspace(0.05, 4.0, 30)  # times 1/λ_max(H̄)
figure, axes = plt.subplots(2, 1, figsize=(5.5, 6), sharex=True, sharey=True)
diverges_from, exact_from = {}, {}
for ax, (name, rows) in zip(axes, {"low": noise, "high": noise + signal}.items(), strict=True):
    problem = rs.UnlearningProblem.from_factors(rows[:n_retain], rows[n_retain:])
    alpha = 0.1
    found = problem.coherence(alpha)
    retain, forget = problem.mean_curvatures
    sharpness = np.linalg.eigvalsh((1 - alpha) * retain + alpha * forget)[-1]
    sigma = three_axes(found.retain, found.forget, found.cross)
    bound = CoherenceBound((n_retain, n_forget), sharpness, sigma)
    # from three coherence numbers: the step size, times sharpness, beyond which ρ > 1
    diverges_from[name] = sharpness * bound.critical_step_size((1, 1), alpha, "bernoulli")

    exact, lower, upper, cheap = [], [], [], []
    for step in steps:
        dyn = problem.dynamics(step / sharpness, (1, 1), alpha, sampling="bernoulli")
        bounds = dyn.bounds()
        exact.append(dyn.growth_factor())
        lower.append(max(b.rho_bound for b in bounds if b.kind == "necessary"))
        upper.append(np.nanmin([b.rho_bound for b in bounds if b.kind == "sufficient"]))
        few = [b for b in bounds if b.cost != "applications"]  # nothing but small eigenproblems
        cheap.append([
            max(b.rho_bound for b in few if b.kind == "necessary"),
            np.nanmin([b.rho_bound for b in few if b.kind == "sufficient"]),
        ])  # fmt: skip
    exact, lower, upper = map(np.array, (exact, lower, upper))
    exact_from[name] = steps[np.argmax(exact > 1.1)]
    ax.plot(steps, exact, color="black", label="exact ρ")
    ax.fill_between(steps, *np.transpose(cheap), alpha=0.4, label="bounds without any product")
    ax.axvline(diverges_from[name], color="C1", linestyle=":", label="three-axis theorem")
    ax.set(title=f"{name} coherence: σ ≤ {sigma:.1f}", yscale="log", ylabel="growth factor")
    assert (lower <= exact * (1 + 1e-10)).all() and (exact <= upper * (1 + 1e-10)).all()
    assert (exact / lower).max() < 1.001 and (upper / exact).max() < 1.01
    assert exact_from[name] <= diverges_from[name]
axes[1].set_xlabel("step size × sharpness")
axes[1].legend()

# at equal sharpness low coherence must diverge sooner, and does
assert diverges_from["low"] < 0.5 * diverges_from["high"]
assert exact_from["low"] < exact_from["high"]
print(
    {name: f"bound {diverges_from[name]:.2f}, exact {exact_from[name]:.2f}" for name in exact_from}
)
