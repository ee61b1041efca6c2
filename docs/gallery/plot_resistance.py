"""
Does my model resist? From a trained network to a verdict, and to the real runs.
================================================================================

Two networks see the same kind of images; in one the class signal is strong, in the other the
labels can only be memorised. Theory is asked first, the networks afterwards.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from rmtstab import bridge
from rmtstab.ensembles import SignalPlusNoise

LOSS = bridge.half_squared_error
resistance, seen = {}, {}
figure, ax = plt.subplots()
for snr in (0.0, 2.0):
    patches, labels = SignalPlusNoise(40, 120, snr).sample(1)
    order = np.argsort(labels, kind="stable").reshape(2, -1).T.ravel()  # classes alternate
    data = torch.tensor(patches[order]), torch.tensor(labels[order])
    model = bridge.TwoLayerReLUCNN(dim=120, filters=16, seed=3)
    bridge.gradient_descent(model, data, step_size=0.5 if snr == 0 else 0.05, steps=3000)
    assert bridge.gauss_newton(model, data).converged

    retain, forget = tuple(t[:32] for t in data), tuple(t[32:] for t in data)
    problem = bridge.problem(model, LOSS, retain, forget)
    step_size = 0.5 * float(problem.critical_step_size((16, 4), 0.0))
    dyn = problem.dynamics(step_size=step_size, batch_size=(16, 4), alpha=0.3)
    growth = dyn.growth()
    print(f"SNR {snr:g}: growth {growth.value:.4f} ({growth.verdict.value}: {growth.reason.value})")
    resistance[snr] = dyn.resistance()

    # the real network, from small displacements in the range of its gradients
    gradients = bridge.sample_factors(model, LOSS, data)[:, 0]
    basis = np.linalg.svd(gradients, full_matrices=False)[2]
    starts = 1e-6 * np.random.default_rng(0).standard_normal((16, 40)) @ basis
    runs = bridge.unlearn(
        model, LOSS, retain, forget, step_size=step_size, batch_size=(16, 4), alpha=0.3,
        steps=150, initial=starts, rng=0,
    )  # fmt: skip
    seen[snr] = runs.retain_loss[:, -1].mean() / runs.forget_loss[:, -1].mean()
    ax.semilogy(runs.forget_loss.mean(0), label=f"forget loss, SNR {snr:g}")
    ax.semilogy(runs.retain_loss.mean(0), "--", label=f"retain loss, SNR {snr:g}")

ax.set_xlabel("step")
ax.set_ylabel("loss, mean of 16 real runs")
ax.legend()
print({snr: f"Ψ = {resistance[snr]:.3f}, measured {seen[snr]:.3f}" for snr in resistance})

# memorised labels are cheap to forget; what rests on the signal costs retain loss
assert resistance[2.0] > 3 * resistance[0.0]
assert seen[2.0] > 3 * seen[0.0]
