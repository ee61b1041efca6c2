"""
An LSTM: which of its weights may move?
=======================================

A recurrent network tells rising from falling sequences; some of its sequences were labelled wrongly
and are to be forgotten. With all weights free, with the head alone, or with all but the head: three
problems of one network, by the names of the parameters.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from rmtstab import bridge

LOSS = torch.nn.CrossEntropyLoss()
generator = torch.Generator().manual_seed(0)
x = torch.randint(0, 6, (30, 5), generator=generator)
y = (x[:, -1] > x[:, 0]).long()
y[24:] = 1 - y[24:]  # labelled wrongly, to be forgotten
model = bridge.Recurrent(6, width=8, classes=2, seed=1).double()
optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
for _ in range(150):
    optimizer.zero_grad()
    LOSS(model(x), y).backward()
    optimizer.step()
model.eval()

retain, forget = (x[:24], y[:24]), (x[24:], y[24:])
free = {
    "all weights": None,
    "the head": "head",
    "all but the head": lambda name, parameter: not name.startswith("head"),
}
figure, ax = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
alphas = np.linspace(0.0, 0.05, 11)
critical, trace = {}, {}
for (name, parameters), colour in zip(free.items(), ("#0072B2", "#D55E00", "#009E73"), strict=True):
    problem = bridge.problem(model, LOSS, retain, forget, parameters=parameters)
    step_size = 0.5 * float(problem.critical_step_size((8, 2), 0.0))
    critical[name] = problem.critical_alpha(step_size, (8, 2))
    trace[name] = [np.trace(mean) for mean in problem.mean_curvatures]
    growth = problem.frontier(step_size, [(8, 2)], alphas).values[:, 0]
    ax.plot(alphas, growth, color=colour, label=f"{name}: rank {problem.rank}")
    print(f"{name}: critical mixing {float(critical[name]):.4f} ({critical[name].status})")

ax.axhline(1.0, color="black", linewidth=0.8)
ax.set_xlabel("mixing α")
ax.set_ylabel("growth factor per step ρ")
ax.legend()

# with more directions than samples nothing holds the forget set; the head's few are held
assert float(critical["all weights"]) == float(critical["all but the head"]) == 0.0
assert 0.01 < float(critical["the head"]) < 0.05 and critical["the head"].status == "interior"
# curvatures of disjoint parameters add up, as traces must
assert np.allclose(np.add(trace["the head"], trace["all but the head"]), trace["all weights"])
