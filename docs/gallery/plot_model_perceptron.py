"""
A perceptron: where is its frontier, and do real runs keep to it?
=================================================================

A multilayer perceptron memorises thirty points. Growth is computed from its curvature, and the real
network is run from displacements small enough to be linear. Any forgetting at all escapes here: a
network with more weights than samples has directions of the forget set that nothing holds.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from rmtstab import bridge

LOSS, STEPS, BATCHES = bridge.half_squared_error, 30, (12, 3)
rng = np.random.default_rng(0)
x, y = torch.tensor(rng.standard_normal((30, 6))), torch.tensor(rng.choice([-1.0, 1.0], 30))
layers = bridge.multilayer_perceptron([6, 16, 16, 1], seed=1)
model = torch.nn.Sequential(layers, torch.nn.Flatten(0)).double()  # one number a sample
bridge.gradient_descent(model, (x, y), step_size=0.1, steps=300)
assert bridge.gauss_newton(model, (x, y)).converged

retain, forget = (x[:24], y[:24]), (x[24:], y[24:])
problem = bridge.problem(model, LOSS, retain, forget)
step_size = 0.5 * float(problem.critical_step_size(BATCHES, 0.0))

# displacements in the span of the gradients: what lies outside does not move
basis = np.linalg.svd(bridge.sample_factors(model, LOSS, (x, y))[:, 0], full_matrices=False)[2]
starts = 1e-7 * rng.standard_normal((16, len(basis))) @ basis

figure, ax = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
theory, seen, errors = {}, {}, {}
for alpha, colour in ((0.0, "#0072B2"), (0.1, "#009E73"), (0.2, "#D55E00")):
    dyn = problem.dynamics(step_size, BATCHES, alpha)
    print(f"α = {alpha:g}: growth {dyn.growth_factor():.4f}, {dyn.reason().value}")
    theory[alpha] = dyn.trajectory(STEPS).displacement  # E‖w‖² from isotropic starts
    runs = bridge.unlearn(
        model, LOSS, retain, forget, step_size=step_size, batch_size=BATCHES, alpha=alpha,
        steps=STEPS, initial=starts, rng=0,
    )  # fmt: skip
    squares = runs.displacement**2 / (runs.displacement[:, 0] ** 2).mean()
    seen[alpha] = squares.mean(axis=0)
    errors[alpha] = squares.std(axis=0, ddof=1) / len(squares) ** 0.5
    ax.semilogy(theory[alpha], color=colour, label=f"α = {alpha:g}: ρ = {dyn.growth_factor():.3f}")
    shown = np.arange(0, STEPS + 1, 5)
    ax.errorbar(shown, seen[alpha][shown], errors[alpha][shown], fmt="o", ms=4, color=colour)

ax.set_xlabel("step")
ax.set_ylabel("‖w‖² / ‖w₀‖²; dots: mean of 16 real runs")
ax.legend()

for alpha, curve in theory.items():
    assert (abs(seen[alpha] - curve) < 4.0 * errors[alpha] + 1e-9).all()
    # the runs are those of their own α, and of no other
    off = {a: abs(np.log(seen[alpha][-1] / other[-1])) for a, other in theory.items()}
    assert off[alpha] < 1.0 and min(v for a, v in off.items() if a != alpha) > 2.0
