"""
Escape is not forgetting: a model leaves its trained weights, and still knows whom it saw.
==========================================================================================

Labels that can only be memorised are ascended on. The model leaves w* at once; the diagnosis says
at which step it has forgotten. Just after the escape, a membership attack on the losses still
tells the forget set from samples that were never seen; a model retrained without the set does not
let it. Where all samples are aligned, on the other hand, nothing can be forgotten alone.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from rmtstab import bridge
from rmtstab.ensembles import SignalPlusNoise

LOSS = bridge.logistic


def train(model, data, steps=800, step_size=4.0):
    """Full-batch gradient descent."""
    for _ in range(steps):
        slopes = torch.autograd.grad(LOSS(model(data[0]), data[1]), list(model.parameters()))
        with torch.no_grad():
            for weight, slope in zip(model.parameters(), slopes, strict=True):
                weight -= step_size * slope
    return model


def losses(model, data):
    """Loss of each sample."""
    with torch.no_grad():
        return torch.nn.functional.softplus(-data[1] * model(data[0])).numpy()


patches, labels = SignalPlusNoise(80, 120, 0.0).sample(2)
x, y = torch.tensor(patches), torch.tensor(labels)
retain, forget, unseen = ((x[s], y[s]) for s in (slice(0, 40), slice(40, 60), slice(60, 80)))
both = tuple(torch.cat(pair) for pair in zip(retain, forget, strict=True))
model = train(bridge.TwoLayerReLUCNN(dim=120, filters=8, seed=1), both)
retrained = train(bridge.TwoLayerReLUCNN(dim=120, filters=8, seed=1), retain)

answer = bridge.diagnose(
    model, LOSS, retain, forget, step_size=8.0, batch_size=(16, 8), alpha=0.7, steps=120,
    advice=False,
)  # fmt: skip
print(answer)

settings = {
    "step_size": 8.0, "batch_size": (16, 8), "alpha": 0.7, "rng": 0, "replicas": 1,
}  # fmt: skip
runs = {120: bridge.unlearn(model, LOSS, retain, forget, steps=120, **settings)}
path = runs[120].forget_loss[0]
early = int(np.argmax(path > 5.0 * path[0]))  # it has left w*
runs[early] = bridge.unlearn(model, LOSS, retain, forget, steps=early, **settings)
attacks, distances = {}, {}
with torch.no_grad():
    reference = retrained(forget[0])
for name, moved in {"trained": None, f"step {early}": early, "step 120": 120}.items():
    there = bridge.TwoLayerReLUCNN(dim=120, filters=8)
    there.load_state_dict(model.state_dict())
    if moved is not None:
        with torch.no_grad():
            there.weights += torch.tensor(runs[moved].final[0]).view_as(there.weights)
    attacks[name] = bridge.loss_threshold_attack(losses(there, forget), losses(there, unseen)).auc
    with torch.no_grad():
        distances[name] = bridge.retraining_distance(there(forget[0]), reference).total_variation
attacks["retrained"] = bridge.loss_threshold_attack(
    losses(retrained, forget), losses(retrained, unseen)
).auc
print("membership attack, AUC:", {k: round(v, 2) for k, v in attacks.items()})
print("distance to retraining:", {k: round(v, 3) for k, v in distances.items()})

# all samples alike: the forget set cannot go alone
alike = torch.ones_like(x[:1]).expand(30, -1, -1) + 0.02 * x[:30]
ones = torch.ones(30, dtype=x.dtype)
aligned = train(bridge.TwoLayerReLUCNN(dim=120, filters=8, seed=1), (alike, ones), 50, 0.05)
together = bridge.diagnose(
    aligned, LOSS, (alike[:20], ones[:20]), (alike[20:], ones[20:]), step_size=0.05,
    batch_size=(10, 5), alpha=0.95, steps=60, advice=False,
)  # fmt: skip
print(together)

figure, axes = plt.subplots(2, 1, figsize=(5.5, 6))
axes[0].bar(list(attacks), list(attacks.values()), color="#0072B2")
axes[0].axhline(0.5, color="black", linestyle="--", label="no knowledge")
axes[0].set_ylabel("membership attack, AUC")
axes[0].legend()
run = together.run
axes[1].plot(run.steps, np.median(run.retain_accuracy, axis=0), label="retain")
axes[1].plot(run.steps, np.median(run.forget_accuracy, axis=0), "--", label="forget")
axes[1].set_xlabel("step")
axes[1].set_ylabel("accuracy, samples alike")
axes[1].legend()

assert answer.outcome.startswith("forgets") and early > 0
assert attacks[f"step {early}"] > 0.9 > 0.75 > attacks["retrained"]  # and has not forgotten
assert attacks["step 120"] < attacks[f"step {early}"]
share = together.curvature.retain.coherence / together.curvature.retain.largest_coherence
assert share > 0.9 and together.outcome == "collapses"
