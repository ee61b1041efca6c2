"""Speed and memory of the bridge: ratios to the products that cannot be avoided, and peak memory.

Run ``python validation/benchmarks/bridge.py [row ...]``; without rows, all of them. Each row runs
in a process of its own, on one thread; times are CPU times of one run on this machine.

Rows of a Gram matrix are compared with their *floor*: half of the product ``J Jᵀ`` of an
(nC, d) matrix, in float32, measured in the same process. Rows of a spectrum are compared with as
many bare products: one backward pass through a gradient's graph, by hand. With curvlinops
installed its rows are printed too.
"""

import importlib.util
import resource
import subprocess
import sys
import time

import numpy as np
import torch

from rmtstab import bridge

REACH = {
    "gram ResNet-20 n=256": "1.4 x floor, 3 GiB",
    "problem ResNet-20 n=64": "4 s, 1.5 GB",
    "gram ResNet-18 n=64": "60 s, 4 GB",
    "gram GPT n=64": "5 s, 1.5 GB",
    "top eigenvalue ResNet-8 n=64": "no slower than curvlinops",
    "density ResNet-8 n=64": "no slower than curvlinops",
}


def cpu(call):
    """CPU seconds of a call, and its result."""
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def floor(rows, columns):
    """CPU seconds of half of ``J Jᵀ`` in float32, from a slice of its columns."""
    part = torch.randn(rows, min(columns, 16384))
    times = [cpu(lambda: part @ part.T)[0] for _ in range(2)]
    return 0.5 * min(times) * columns / part.shape[1]


def images(n):
    """Random images and labels: derivatives cost the same on any."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(n, 3, 32, 32, generator=generator)
    return inputs, torch.randint(0, 10, (n,), generator=generator)


def tokens(n):
    """Random sequences of 64 tokens."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(0, 10, (n, 64), generator=generator)
    return inputs, torch.randint(0, 10, (n,), generator=generator)


def gram(model, data):
    """CPU seconds of a plain Gram matrix, and its floor."""
    network, samples = bridge.Network(model), bridge.read_samples("samples", data)
    network.outputs(samples.take([0]))
    seconds, found = cpu(lambda: bridge.jacobian_gram(network, samples))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return seconds, floor(len(found), network.n_parameters), peak


def problem(model, data):
    """CPU seconds of a whole problem, a quarter of the samples forgotten."""
    split = 3 * len(data[0]) // 4
    retain, forget = (
        tuple(part[s] for part in data) for s in (slice(0, split), slice(split, None))
    )
    seconds, _ = cpu(lambda: bridge.problem(model, torch.nn.CrossEntropyLoss(), retain, forget))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    weights = sum(p.numel() for p in model.parameters())
    return seconds, floor(9 * len(data[0]), weights), peak


def bare_product(model, data):
    """Product with the Hessian through a graph of the gradient that is kept, by hand."""
    weights = list(model.parameters())
    loss = torch.nn.functional.cross_entropy(model(data[0]), data[1])
    slopes = torch.autograd.grad(loss, weights, create_graph=True)
    vector = [torch.randn_like(w) for w in weights]

    def product():
        value = sum((s * v).sum() for s, v in zip(slopes, vector, strict=True))
        return torch.autograd.grad(value, weights, retain_graph=True)

    product()
    return min(cpu(product)[0] for _ in range(3))


def top(model, data):
    """CPU seconds to the largest eigenvalue at a residual of 1e-4."""
    seconds, found = cpu(
        lambda: bridge.extreme_eigenpairs(
            bridge.hessian_operator(model, torch.nn.CrossEntropyLoss(), data), tolerance=1e-4
        )
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"    residual {found.residuals[0] / found.values[0]:.1e}, {found.n_products} products")
    return seconds, found.n_products * bare_product(model, data), peak


def density(model, data):
    """CPU seconds of a spectral density: 10 probes, 20 products each."""
    seconds, _ = cpu(
        lambda: bridge.spectral_density(
            bridge.hessian_operator(model, torch.nn.CrossEntropyLoss(), data), 10, 20
        )
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return seconds, 200 * bare_product(model, data), peak


def elsewhere(name, model, data):
    """CPU seconds of curvlinops on the same net, where it is installed."""
    if importlib.util.find_spec("curvlinops") is None or "gram" in name or "problem" in name:
        return None
    from curvlinops import HessianLinearOperator
    from scipy.sparse.linalg import eigsh

    weights = list(model.parameters())
    operator = HessianLinearOperator(
        model, torch.nn.CrossEntropyLoss(), weights, [data], check_deterministic=False
    ).to_scipy()
    if name.startswith("top"):
        start = np.random.default_rng(0).standard_normal(operator.shape[0]).astype(np.float32)
        return cpu(lambda: eigsh(operator, k=1, which="LA", tol=1e-5, v0=start))[0]
    vector = np.random.default_rng(0).standard_normal(operator.shape[0]).astype(np.float32)
    return 100 * cpu(lambda: [operator @ vector, operator @ vector])[0]  # products alone


def rows():
    """What each row runs."""
    return {
        "gram ResNet-20 n=256": (gram, bridge.residual_net(20), images(256)),
        "problem ResNet-20 n=64": (problem, bridge.residual_net(20), images(64)),
        "gram ResNet-18 n=64": (gram, bridge.residual_net(18), images(64)),
        "gram GPT n=64": (gram, bridge.Transformer(10, 64), tokens(64)),
        "top eigenvalue ResNet-8 n=64": (top, bridge.residual_net(8), images(64)),
        "density ResNet-8 n=64": (density, bridge.residual_net(8), images(64)),
    }


def main(name):
    """Run one row and print it."""
    torch.set_num_threads(1)
    call, model, data = rows()[name]
    seconds, least, peak = call(model, data)
    other = elsewhere(name, model, data)
    beside = "" if other is None else f", curvlinops {other:.1f} s"
    print(
        f"{name:30s} {seconds:7.1f} s, floor {least:7.1f} s, ratio {seconds / least:5.2f}, "
        f"peak {peak / 1e6:.2f} GB{beside}  (reach {REACH[name]})",
        flush=True,
    )


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--one":
        main(sys.argv[2])
    else:
        for row in sys.argv[1:] or list(REACH):
            subprocess.run([sys.executable, __file__, "--one", row], check=True)
