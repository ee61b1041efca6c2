"""Today's other tools beside the bridge: the same net, one process, one thread.

Run ``python validation/benchmarks/peers.py [row ...]`` in an environment that holds whichever of
BackPACK, PyHessian, NNGeometry and curvlinops; a tool that is missing, or cannot do a row, is
said. Rows: ``right``, whether each tool's answer is the matrix of the user's batch loss, where a
wrong one is known to be easy to get; and CPU seconds of ``gram`` (ResNet-20, 64 images),
``gram256`` (256 images, without NNGeometry, which takes many minutes), ``top`` and ``density``
(ResNet-8, 64 images; 10 probes of 20 steps).
"""

import copy
import sys
import time
import warnings

import numpy as np
import torch
from scipy.sparse.linalg import eigsh
from torch import nn
from torch.func import functional_call, jacrev, vmap

from rmtstab import bridge

PROBES, STEPS = 10, 20
LOSS = nn.CrossEntropyLoss()


def plain(model):
    """The same function without what other tools cannot take: in-place layers, adaptive pooling."""
    model = copy.deepcopy(model)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.ReLU):
            module.inplace = False
        if isinstance(module, nn.AdaptiveAvgPool2d):
            model.set_submodule(name, nn.AvgPool2d(8))  # of the 8 x 8 that 32 x 32 images leave
    return model


def images(n):
    """Random images and labels: derivatives cost the same on any."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(n, 3, 32, 32, generator=generator)
    return inputs, torch.randint(0, 10, (n,), generator=generator)


def roots_of(logits):
    """Roots (n, C, C) of the softmax Hessians ``diag(p) - p pᵀ``, by hand."""
    p = logits.double().softmax(1)
    return torch.diag_embed(p.sqrt()) - p[:, :, None] * p.sqrt()[:, None]


# ---------------------------------------------------------------- Gram of the Gauss-Newton matrix
def gram_rmtstab(model, data):
    """``R^T J J^T R / n`` layer by layer."""
    network, samples = bridge.Network(model), bridge.read_samples("data", data)
    roots = roots_of(network.outputs(samples))
    return bridge.apply_roots(bridge.jacobian_gram(network, samples), roots, roots) / len(samples)


def gram_by_hand(model, data):
    """Per-sample Jacobians by `torch.func`, all at once."""
    weights = {k: p.detach() for k, p in model.named_parameters()}

    def one(weights, x):
        return functional_call(model, weights, (x[None],))[0]

    parts = vmap(jacrev(one), (None, 0))(weights, data[0])
    rows = torch.cat([part.flatten(2) for part in parts.values()], 2).flatten(0, 1)
    with torch.no_grad():
        roots = roots_of(model(data[0]))
    return bridge.apply_roots((rows @ rows.T).double(), roots, roots) / len(data[0])


def gram_backpack(model, data):
    """Square roots of the Gauss-Newton matrix, and their products."""
    from backpack import backpack, extend
    from backpack.extensions import SqrtGGNExact

    model, loss = extend(plain(model), use_converter=True), extend(nn.CrossEntropyLoss())
    model.eval()
    with backpack(SqrtGGNExact()):
        loss(model(data[0]), data[1]).backward()
    total = 0.0
    for parameter in model.parameters():
        rows = parameter.sqrt_ggn_exact.flatten(2).transpose(0, 1).flatten(0, 1)
        total = total + (rows @ rows.T).double()
    return total


def gram_nngeometry(model, data):
    """Plain Gram of the outputs' Jacobian; roots applied by us."""
    from nngeometry.gram import GramMatrix
    from nngeometry.object import FMatDense
    from torch.utils.data import DataLoader, TensorDataset

    model = plain(model)
    loader = DataLoader(TensorDataset(*data), batch_size=32)
    found = GramMatrix(
        model, loader, function=lambda *batch: model(batch[0]), representation=FMatDense
    )
    gram = found.data.permute(1, 0, 3, 2).reshape(10 * len(data[0]), -1).detach().double()
    with torch.no_grad():
        roots = roots_of(model(data[0]))
    return bridge.apply_roots(gram, roots, roots) / len(data[0])


# ---------------------------------------------------------------------------- exact Hessian
def top_rmtstab(model, data):
    """Lanczos; residual 1e-4 asked."""
    operator = bridge.hessian_operator(model, LOSS, data)
    found = bridge.extreme_eigenpairs(operator, tolerance=1e-4)
    return found.values[0], found.vectors[:, 0]


def top_curvlinops(model, data):
    """The same Lanczos over its operator."""
    operator = curvlinops_hessian(model, data)
    start = np.random.default_rng(0).standard_normal(operator.shape[0]).astype(np.float32)
    values, vectors = eigsh(operator, k=1, which="LA", tol=1e-5, v0=start)
    return values[0], vectors[:, 0]


def top_pyhessian(model, data):
    """Power iteration until its value moves by less than 1e-7 (at most 400 products)."""
    from pyhessian import hessian

    torch.manual_seed(0)
    model.zero_grad()
    found = hessian(model, LOSS, data=data, cuda=False)
    values, vectors = found.eigenvalues(maxIter=400, tol=1e-7, top_n=1)
    model.zero_grad(set_to_none=True)
    return values[0], torch.cat([v.flatten() for v in vectors[0]]).detach().numpy()


def density_rmtstab(model, data):
    """Probes of 20 steps, with error bars."""
    return bridge.spectral_density(bridge.hessian_operator(model, LOSS, data), PROBES, STEPS)


def density_pyhessian(model, data):
    """Probes of 20 steps."""
    from pyhessian import hessian

    model.zero_grad()
    found = hessian(model, LOSS, data=data, cuda=False).density(iter=STEPS, n_v=PROBES)
    model.zero_grad(set_to_none=True)
    return found


def density_curvlinops(model, data):
    """Its products alone, as many."""
    operator = curvlinops_hessian(model, data)
    vector = np.random.default_rng(0).standard_normal(operator.shape[0]).astype(np.float32)
    return [operator @ vector for _ in range(PROBES * STEPS)]


def curvlinops_hessian(model, batches, loss=LOSS):
    """Its Hessian as a SciPy operator."""
    from curvlinops import HessianLinearOperator

    batches = [batches] if isinstance(batches, tuple) else batches
    operator = HessianLinearOperator(
        model, loss, list(model.parameters()), batches, check_deterministic=False
    )
    return operator.to_scipy()


# ---------------------------------------------------------------------------------- right?
def small():
    """A small net, batches of 30 and 2 whose curvatures differ, and class weights."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))
    x = torch.randn(32, 6) * torch.where(torch.arange(32) < 30, 0.3, 4.0)[:, None]
    y = torch.randint(0, 4, (32,))
    weighted = nn.CrossEntropyLoss(weight=torch.tensor([10.0, 1.0, 1.0, 0.1]))
    return model, (x, y), [(x[:30], y[:30]), (x[30:], y[30:])], weighted


def exact(model, loss, data):
    """Hessian of the batch loss in float64, explicitly."""
    model = copy.deepcopy(model).double()
    shapes = {k: p.shape for k, p in model.named_parameters()}

    def value(flat):
        parts = torch.split(flat, [s.numel() for s in shapes.values()])
        weights = {k: w.view(s) for (k, s), w in zip(shapes.items(), parts, strict=True)}
        return loss.double()(functional_call(model, weights, (data[0].double(),)), data[1])

    flat = torch.cat([p.detach().flatten() for p in model.parameters()])
    return torch.autograd.functional.hessian(value, flat).numpy()


def largest(values):
    """Return the value of the largest size."""
    return max(values, key=abs)


def right():
    """Relative errors of the eigenvalue largest in size, tool by tool."""
    model, data, batches, weighted = small()

    def ours(loss):
        operator = bridge.hessian_operator(model, loss, batches)
        return largest(bridge.extreme_eigenpairs(operator, 2, which="both").values)

    def curvlinops(loss):
        columns = np.eye(92, dtype=np.float32)
        return largest(np.linalg.eigvalsh(curvlinops_hessian(model, batches, loss) @ columns))

    def pyhessian(loss, twice=False, loaded=True):
        from pyhessian import hessian

        torch.manual_seed(0)
        model.zero_grad(set_to_none=True)
        given = {"dataloader": batches} if loaded else {"data": data}
        for _ in range(1 + twice):
            found = hessian(model, loss, cuda=False, **given)
        value = found.eigenvalues(maxIter=2000, tol=1e-9)[0][0]
        model.zero_grad(set_to_none=True)
        return value

    tools = {"rmtstab": ours, "curvlinops": curvlinops, "PyHessian": pyhessian}
    for what, loss in (("uneven batches", LOSS), ("class weights in batches", weighted)):
        truth = largest(np.linalg.eigvalsh(exact(model, copy.deepcopy(loss), data)))
        for name, tool in tools.items():
            tell(what, name, lambda tool=tool, loss=loss: tool(loss.float()), truth)
    truth = largest(np.linalg.eigvalsh(exact(model, LOSS, data)))
    tell("called twice", "PyHessian", lambda: pyhessian(LOSS, twice=True, loaded=False), truth)
    second_eigenvalue()


def second_eigenvalue():
    """Two eigenvalues 1 % apart: linear regression on scaled unit vectors."""
    model = nn.Linear(40, 1, bias=False)
    sizes = torch.full((40,), 0.1)
    sizes[:2] = torch.tensor([1.0, 0.99]).sqrt()
    data = torch.diag(sizes) * 20**0.5, torch.zeros(40, 1)

    def pyhessian():
        from pyhessian import hessian

        torch.manual_seed(0)
        return hessian(model, nn.MSELoss(), data=data, cuda=False).eigenvalues(top_n=2)[0][1]

    operator = bridge.hessian_operator(model, nn.MSELoss(), data)
    tell(
        "second eigenvalue",
        "rmtstab",
        lambda: bridge.extreme_eigenpairs(operator, 2).values[1],
        0.99,
    )
    tell("second eigenvalue, default options", "PyHessian", pyhessian, 0.99)


def tell(what, tool, call, truth):
    """Print a relative error, or why there is none."""
    try:
        value = float(call())
    except Exception as error:
        print(f"{what:36s} {tool:12s} {describe(error)}", flush=True)
        return
    print(f"{what:36s} {tool:12s} {value / truth - 1.0:+.1%} ({value:.5g})", flush=True)


def describe(error):
    """One line of an error."""
    return f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else ''}"


def timed(row, depth, n=64, without=()):
    """CPU seconds of every tool of a row, and how far its answer is from ours."""
    model, data, reference = bridge.residual_net(depth), images(n), None
    operator = bridge.hessian_operator(model, LOSS, data) if row == "top" else None
    for name, call in globals().copy().items():
        tool = name.removeprefix(f"{row}_")
        if tool in (name, *without):
            continue
        start = time.process_time()
        try:
            found = call(model, data)
        except Exception as error:
            print(f"{row:8s} {tool:12s} {describe(error)}", flush=True)
            continue
        seconds, note = time.process_time() - start, f"n = {n}"
        if row == "gram":
            reference = found if reference is None else reference
            sizes = [torch.linalg.eigvalsh(gram)[-1] for gram in (found, reference)]
            note += f", largest eigenvalue {float(sizes[0] / sizes[1]) - 1.0:+.1e} of ours"
        elif row == "top":
            value, vector = found
            rest = np.linalg.norm(operator.matvec(vector) - value * vector)
            note += f", value {value:.6g}, relative residual {rest / abs(value):.1e}"
        print(f"{row:8s} {tool:12s} {seconds:7.1f} s  {note}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows = {
        "right": right,
        "gram": lambda: timed("gram", 20),
        "gram256": lambda: timed("gram", 20, 256, without=("nngeometry",)),
        "top": lambda: timed("top", 8),
        "density": lambda: timed("density", 8),
    }
    for row in sys.argv[1:] or rows:
        rows[row]()
