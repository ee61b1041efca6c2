"""
A transformer with tied embeddings: which sequences carry the escape?
=====================================================================

A small decoder learns to count; two of the four sequences to forget follow a rule of their own that
the retain set does not support. The loss is per token, with padding; the token embedding is the
output layer. Growth's participation names the samples of an escape before anything is run: one of
the two carries nearly half of it, what is retained a tenth.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from rmtstab import bridge

LOSS = torch.nn.CrossEntropyLoss()  # leaves out targets of -100
VOCABULARY, LENGTH = 8, 4


def sequence(start, step, length):
    """Tokens and the next ones; what is padded is not asked for."""
    tokens = (start + step * torch.arange(LENGTH + 1)) % VOCABULARY
    targets = tokens[1:].clone()
    targets[length:] = -100
    return tokens[:-1], targets


counting = [sequence(start, 1, LENGTH - start % 2) for start in range(VOCABULARY)]
odd = [sequence(start, 3, LENGTH) for start in (2, 5)]
x, y = (torch.stack(part) for part in zip(*counting, *odd, strict=True))
model = bridge.Transformer(
    VOCABULARY, LENGTH, width=8, layers=1, heads=2, every_token=True, seed=1
).double()
assert model.tokens.weight is model.head.weight  # one tensor, read once

optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
for _ in range(100):
    optimizer.zero_grad()
    LOSS(model(x).transpose(1, 2), y).backward()
    optimizer.step()
model.eval()

retain, forget = (x[:6], y[:6]), (x[6:], y[6:])
problem = bridge.problem(model, LOSS, retain, forget)
step_size = 0.5 * float(problem.critical_step_size((3, 2), 0.0))
growth = problem.dynamics(step_size, (3, 2), alpha=0.3).growth()
print(f"growth {growth.value:.3f} ({growth.verdict.value}): {growth.reason.value}")
print(*problem.notes, sep="\n")

share = growth.participation
figure, ax = plt.subplots(figsize=(5.5, 3.2), layout="constrained")
for label, first, last, colour in (
    ("retained", 0, 6, "#0072B2"), ("forgotten, counts on", 6, 8, "#E69F00"),
    ("forgotten, has a rule of its own", 8, 10, "#D55E00"),
):  # fmt: skip
    ax.bar(range(first, last), share[first:last], color=colour, label=label)
ax.set_xticks(range(10), [" ".join(map(str, row.tolist())) for row in x], rotation=45)
ax.set_xlabel("sequence")
ax.set_ylabel("share in the escape")
ax.legend()

assert growth.verdict.name == "ESCAPES" and share[:6].sum() < 0.2
assert np.argmax(share) >= 8  # one with a rule of its own carries the most
assert share.max() > 0.4
# another route to the same curvature: products with the tied weights, by Lanczos
top = bridge.extreme_eigenpairs(bridge.gauss_newton_operator(model, LOSS, retain)).values[0]
assert np.isclose(top, np.linalg.eigvalsh(problem.mean_curvatures[0])[-1], rtol=1e-6)
