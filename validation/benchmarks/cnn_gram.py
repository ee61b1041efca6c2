"""`curvature.cnn_gram` over the dense products it cannot avoid, and against torch gradients.

Run ``python validation/benchmarks/cnn_gram.py``; prints ratios of one run on this machine.
The floor is one symmetric product of the patches and one of the masks, by BLAS.
"""

import numpy as np
from timing import median_seconds

from rmtstab.curvature import cnn_gram
from rmtstab.ensembles import SignalPlusNoise


def against_dense_products(n=2000, dim=2000, filters=20):
    """Ratio to the patch Gram and the mask Gram, by symmetric BLAS products."""
    rng = np.random.default_rng(0)
    patches, labels = SignalPlusNoise(n, dim, 0.5).sample(rng)
    weights = rng.standard_normal((2, filters, dim)) / np.sqrt(dim)
    rows = patches.reshape(-1, dim)
    masks = (rows @ weights.reshape(-1, dim).T > 0).astype(np.float32)

    def floor():
        rows @ rows.T
        masks @ masks.T

    return median_seconds(lambda: cnn_gram(weights, patches, labels), 5) / median_seconds(floor, 5)


def against_torch(n=200, dim=2000, filters=20):
    """Ratio of per-sample gradients by ``vmap(grad)`` and a matmul to the closed form."""
    import torch
    from torch.func import functional_call, grad, vmap

    from rmtstab.bridge import TwoLayerReLUCNN

    rng = np.random.default_rng(0)
    patches, labels = SignalPlusNoise(n, dim, 0.5).sample(rng)
    model = TwoLayerReLUCNN(dim, filters)
    inputs = torch.tensor(patches)
    weights = {"weights": model.weights.detach()}

    def output(weights, sample):
        return functional_call(model, weights, (sample[None],))[0]

    def by_torch():
        slopes = vmap(grad(output), in_dims=(None, 0))(weights, inputs)["weights"].flatten(1)
        return slopes @ slopes.T

    array = model.weights.detach().numpy()
    error = np.abs(by_torch().numpy() - cnn_gram(array, patches, labels)).max()
    assert error < 1e-9, error
    return median_seconds(by_torch, 3) / median_seconds(lambda: cnn_gram(array, patches, labels), 5)


if __name__ == "__main__":
    print(f"cnn_gram / dense products, n=2000, d=2000, m=20: {against_dense_products():.2f}")
    print(f"torch vmap(grad) + matmul / cnn_gram, n=200, d=2000, m=20: {against_torch():.1f}")
