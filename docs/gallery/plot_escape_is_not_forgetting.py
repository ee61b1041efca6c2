"""
Escape is not forgetting: a model leaves its trained weights, and still knows whom it saw.
==========================================================================================

Labels that can only be memorised are ascended on. The model leaves w* at once; the diagnosis says
at which step it has forgotten. Just after the escape, membership attacks still tell the forget set
from samples that were never seen, on the run's losses, on the *predicted* losses, and with shadow
models; a model retrained without the set does not let them.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from rmtstab import bridge
from rmtstab.ensembles import SignalPlusNoise

LOSS = bridge.logistic


def train(data, seed=1, steps=800, step_size=4.0):
    """A CNN after full-batch gradient descent."""
    model = bridge.TwoLayerReLUCNN(dim=120, filters=8, seed=seed)
    for _ in range(steps):
        slopes = torch.autograd.grad(LOSS(model(data[0]), data[1]), list(model.parameters()))
        with torch.no_grad():
            for weight, slope in zip(model.parameters(), slopes, strict=True):
                weight -= step_size * slope
    return model


def outputs(model, data):
    """Logit of each sample."""
    with torch.no_grad():
        return model(data[0]).numpy()


def losses(logits, data):
    """Loss of each sample."""
    return np.logaddexp(0.0, -data[1].numpy() * np.ravel(logits))


patches, labels = SignalPlusNoise(80, 120, 0.0).sample(2)
x, y = torch.tensor(patches), torch.tensor(labels)
retain, forget, unseen = ((x[s], y[s]) for s in (slice(0, 40), slice(40, 60), slice(60, 80)))
model = train((x[:60], y[:60]))
retrained = train(retain)

settings = {"step_size": 8.0, "batch_size": (16, 8), "alpha": 0.7}
answer = bridge.diagnose(model, LOSS, retain, forget, unseen, steps=120, advice=False, **settings)
print(answer)

# %%
# The attacks ask of each sample whether it was trained on: 20 were, 20 were not. Half of the shadow
# models have seen each of the 40; all have seen the retain set.
pool = x[40:], y[40:]
rng = np.random.default_rng(0)
seen = rng.permuted(np.tile([True, False], (40, 6)), axis=1).T
shadows = []
for k, chosen in enumerate(seen):
    both = [torch.cat([part, own[chosen]]) for part, own in zip(retain, pool, strict=True)]
    shadows.append(losses(outputs(train(both, seed=10 + k), pool), pool))
members = np.arange(40) < 20


def attack(logits):
    """AUC of the loss threshold and of the likelihood ratio, on the outputs of the pool."""
    found = losses(logits, pool)
    threshold = bridge.loss_threshold_attack(found[members], found[~members])
    return threshold.auc, bridge.shadow_model_attack(found, shadows, seen, members).auc


net = answer.net
predicted = net.run(steps=120, replicas=1, rng=0, **settings)
path = bridge.unlearn(model, LOSS, retain, forget, steps=120, replicas=1, rng=0, **settings)
early = int(np.argmax(path.forget_loss[0] > 5.0 * path.forget_loss[0, 0]))  # it has left w*
real, said, distance = {}, {}, {}
for step in (0, early, 120):
    run = bridge.unlearn(model, LOSS, retain, forget, steps=step, replicas=1, rng=0, **settings)
    there = bridge.displaced(model, run.final[0])
    real[step] = attack(outputs(there, pool))
    said[step] = attack(np.concatenate(net.predicted_outputs(predicted, (), step)[1:]))
    distance[step] = bridge.retraining_distance(
        outputs(there, forget), outputs(retrained, forget)
    ).total_variation
again = attack(outputs(retrained, pool))
print("AUC (threshold, shadow models) of the run:", real)
print("of the prediction:", said, "retrained:", again)
print("distance to retraining:", {k: round(v, 3) for k, v in distance.items()})

figure, ax = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
names = ["trained", f"step {early}", "step 120", "retrained"]
rows = {
    "run, threshold": [*(real[k][0] for k in real), again[0]],
    "prediction, threshold": [*(said[k][0] for k in said), np.nan],
    "run, shadow models": [*(real[k][1] for k in real), again[1]],
}
colours = ("#0072B2", "#56B4E9", "#D55E00")
for k, ((name, values), colour) in enumerate(zip(rows.items(), colours, strict=True)):
    ax.bar(np.arange(4) + 0.27 * (k - 1), values, 0.25, color=colour, label=name)
ax.axhline(0.5, color="black", linestyle="--", label="no knowledge")
ax.set_xticks(range(4), names)
ax.set_ylabel("membership attack, AUC")
ax.set_ylim(0.0, 1.0)
ax.legend(loc="upper right", framealpha=1.0)

assert answer.outcome.startswith("forgets") and early > 0
assert min(real[early]) > 0.9 > 0.75 > max(again)  # it has left, and has not forgotten
assert real[120][0] < 0.75
assert abs(said[early][0] - real[early][0]) < 0.1
