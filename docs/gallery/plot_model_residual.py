"""
Residual networks of two depths: what does reading one cost, and is it read right?
==================================================================================

ResNet-8 and ResNet-20 for small images, BatchNorm at its running statistics. A plan prints what
each way to a problem takes before anything runs; the Gram matrix, accumulated layer by layer, is
held against products with the whole network. (``residual_net(18)`` has 11 million weights; a
problem of 64 images of 32 × 32 takes half a minute on one core.)
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from rmtstab import bridge

LOSS = torch.nn.CrossEntropyLoss()
generator = torch.Generator().manual_seed(0)
x, y = torch.randn(4, 3, 8, 8, generator=generator), torch.arange(4)
retain, forget = (x[:3], y[:3]), (x[3:], y[3:])

figure, ax = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
tops = {}
for depth, colour, mark in ((8, "#0072B2", "o"), (20, "#D55E00", "s")):
    model = bridge.residual_net(depth, seed=0)  # in evaluation mode
    problem = bridge.problem(model, LOSS, retain, forget)
    eigenvalues = np.linalg.eigvalsh(problem.mean_curvatures[0])[::-1]
    tops[depth] = eigenvalues[0]
    weights = sum(parameter.numel() for parameter in model.parameters())
    label = f"ResNet-{depth}, {weights:,} weights"
    ax.semilogy(np.arange(1, 28), eigenvalues[:27], mark, ms=3, color=colour, label=label)
    # three images of ten classes: softmax leaves nine directions each, and no more
    assert problem.rank == 36 and eigenvalues[26] > 1e-6 * tops[depth]
    assert abs(eigenvalues[27:]).max() < 1e-12 * tops[depth]
print(bridge.plan(bridge.Network(model), bridge.read_samples("retain", retain)))
ax.set_xlabel("eigenvalue of the retain set's mean curvature, by size")
ax.legend()

# by another route: products with the whole network, and Lanczos on them
smaller = bridge.residual_net(8, seed=0)
operator = bridge.gauss_newton_operator(smaller, LOSS, retain)
top = bridge.extreme_eigenpairs(operator)
assert top.converged and np.isclose(top.values[0], tops[8], rtol=1e-5)
