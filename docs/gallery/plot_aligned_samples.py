"""
Where all samples are aligned, nothing is forgotten alone.
==========================================================

Coherence at its largest: every sample pulls the same weights the same way, so that ascent on some
undoes what descent on the others holds. Retain and forget accuracy fall together, at one step; the
diagnosis says so before the run. Samples that share no direction, under the same protocol, part.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from rmtstab import bridge
from rmtstab.ensembles import SignalPlusNoise

LOSS = bridge.logistic
STEPS = 90


def trained(x, y, steps, step_size):
    """A CNN after full-batch gradient descent, and its two sets."""
    model = bridge.TwoLayerReLUCNN(dim=120, filters=8, seed=1)
    for _ in range(steps):
        slopes = torch.autograd.grad(LOSS(model(x), y), list(model.parameters()))
        with torch.no_grad():
            for weight, slope in zip(model.parameters(), slopes, strict=True):
                weight -= step_size * slope
    return model, (x[:20], y[:20]), (x[20:], y[20:])


patches, labels = SignalPlusNoise(30, 120, 0.0).sample(2)
apart, own = torch.tensor(patches), torch.tensor(labels)
alike = torch.ones_like(apart[:1]).expand(30, -1, -1) + 0.02 * apart
cases = {
    "samples aligned": (trained(alike, torch.ones(30, dtype=own.dtype), 50, 0.05), 0.05),
    "samples independent": (trained(apart, own, 800, 4.0), 8.0),
}

answers, runs = {}, {}
for name, (parts, step_size) in cases.items():
    settings = {"step_size": step_size, "batch_size": (10, 5), "alpha": 0.95, "steps": STEPS}
    answers[name] = bridge.diagnose(parts[0], LOSS, *parts[1:], advice=False, **settings)
    runs[name] = bridge.unlearn(parts[0], LOSS, *parts[1:], rng=7, **settings)
    found = answers[name].curvature
    print(name, answers[name].outcome, found.retain.coherence, found.retain.largest_coherence)

figure, axes = plt.subplots(2, 1, figsize=(5.5, 6), sharex=True, sharey=True, layout="constrained")
for ax, (name, answer) in zip(axes, answers.items(), strict=True):
    for part, colour in (("retain", "#0072B2"), ("forget", "#D55E00")):
        predicted = getattr(answer.run, f"{part}_accuracy")
        seen = getattr(runs[name], f"{part}_accuracy")
        ax.plot(answer.run.steps, np.median(predicted, axis=0), color=colour, label=f"{part}")
        ax.plot(
            runs[name].steps, np.median(seen, axis=0), "o", color=colour, markevery=6, markersize=4
        )
    ax.set_title(name, fontsize="medium")

axes[0].plot([], [], "ko", markersize=4, label="real runs")
for ax in axes:
    ax.set_ylabel("accuracy (median of 8)")
axes[1].set_xlabel("step")
axes[0].legend(loc="center left")

aligned, free = answers.values()
share = aligned.curvature.retain.coherence / aligned.curvature.retain.largest_coherence
assert share > 0.9 and aligned.outcome == "collapses" and not aligned.advice
assert np.abs(aligned.forget_step - aligned.collapse_step).max() <= 1
assert free.curvature.cross_coherence < 0.2 * free.curvature.largest_cross_coherence
assert free.outcome.startswith("forgets")
