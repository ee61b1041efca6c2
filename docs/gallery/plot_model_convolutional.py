"""
A small conv net: when does it forget a class, and when does it collapse?
=========================================================================

Images of four classes; one class is to be forgotten. The diagnosis reads the network once, and says
at which step it forgets and whether the rest survives; the real runs, from the same weights and
under the same batches, are beside it.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from rmtstab import bridge

LOSS = torch.nn.CrossEntropyLoss()
generator = torch.Generator().manual_seed(0)
y = torch.arange(40) % 4
x = torch.randn(4, 1, 6, 6, generator=generator)[y]
x = x + 1.5 * torch.randn(40, 1, 6, 6, generator=generator)
model = bridge.convolutional_net(channels=1, size=6, classes=4, seed=1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for _ in range(12):
    optimizer.zero_grad()
    LOSS(model(x), y).backward()
    optimizer.step()
model.eval()

retain, forget = (x[y < 3], y[y < 3]), (x[y == 3], y[y == 3])
settings = {"step_size": 0.05, "batch_size": (10, 5), "alpha": 0.5, "steps": 20, "replicas": 4}
answer = bridge.diagnose(model, LOSS, retain, forget, rng=0, passes=0, advice=False, **settings)
runs = bridge.unlearn(model, LOSS, retain, forget, rng=0, **settings)
print(str(answer).partition("\n\n")[0])

figure, ax = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
for name, colour in (("retain", "#0072B2"), ("forget", "#D55E00")):
    predicted = np.median(getattr(answer.run, f"{name}_accuracy"), axis=0)
    seen = np.median(getattr(runs, f"{name}_accuracy"), axis=0)
    ax.plot(answer.run.steps, predicted, color=colour, label=f"{name}, predicted")
    ax.plot(runs.steps, seen, "o", ms=4, markevery=1, color=colour, label=f"{name}, real runs")
ax.set_xlabel("step")
ax.set_ylabel("accuracy, median of 4")
ax.legend()

assert answer.outcome == "forgets_then_collapses" and answer.robust
# replica by replica, since the batches are the same
assert np.abs(answer.forget_step - runs.forget_step).max() <= 1
assert np.abs(answer.collapse_step - runs.collapse_step).max() <= 1
assert (runs.forget_step < runs.collapse_step).all() and runs.collapse_step.max() < 20
