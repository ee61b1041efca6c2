"""Read the unlearning problem off a trained network."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.bridge.derivatives import naming
from rmtstab.bridge.factors import functions_of, pulled_back
from rmtstab.bridge.gram import jacobian_gram, read_budget
from rmtstab.bridge.interpolation import measure
from rmtstab.bridge.network import Network
from rmtstab.bridge.network_problem import NetworkProblem, halves_disagree
from rmtstab.bridge.reading import Reading, read
from rmtstab.bridge.reduction import reduce_gram, reduce_rows
from rmtstab.bridge.samples import Samples
from rmtstab.bridge.schedule import MARGIN, BudgetError
from rmtstab.bridge.sketching import kept_bytes, sketch
from rmtstab.unlearning.problem import UnlearningProblem

Reduction = Literal["auto", "factors", "gram", "sketch"]
SMALL_BYTES = 2e8  # of factors and their copies, that are held for their accuracy
MOST_ROWS = 20_000  # of a Gram matrix whose eigenvalues can be waited for


def problem(
    model: nn.Module,
    loss: Any,
    retain: Any,
    forget: Any,
    *,
    forget_loss: Any = None,
    parameters: Any = None,
    output: Any = None,
    preconditioner: Any = None,
    device: str | torch.device | None = None,
    chunk_size: int | None = None,
    reduction: Reduction = "auto",
    sketch_size: int = 4000,
    memory_budget: float | None = None,
    max_samples: int | None = None,
    seed: int = 0,
    progress: bool = False,
    check_deterministic: bool = True,
) -> NetworkProblem:
    r"""Read the unlearning problem off a trained network.

    With the loss of a batch ``L = Σ ω_i ℓ_i(f_i)``: curvatures
    ``H_i = n ω_i P^{1/2} J_iᵀ ∇²ℓ_i J_i P^{1/2}`` and gradients ``n ω_i P^{1/2} J_iᵀ ∇ℓ_i``,
    so that their means are those of the user's loss on each whole set.

    Parameters
    ----------
    model : torch.nn.Module
        The trained network, in the mode in which it is used (``model.eval()``); nothing of
        it is changed. Float64, float32, bfloat16 or float16; half precision is
        differentiated in float32.
    loss : callable
        ``loss(outputs, targets)`` → scalar, convex in the outputs: MSE, BCE with logits,
        cross-entropy, Huber and Gaussian NLL of `torch.nn` or `torch.nn.functional` are read
        in closed form with all their options, any other function by autograd in float64.
        ``LogSoftmax`` + ``NLLLoss`` and ``Sigmoid`` + ``BCELoss`` are recomposed.
    retain, forget : pair (inputs, targets), Dataset or DataLoader
        Tensors, arrays or lists; inputs may be a tuple (``model(*inputs)``) or a dict
        (``model(**inputs)``). Loaders must not shuffle. ``forget`` may be empty.
    forget_loss : callable, optional
        The loss ascended on the forget set; default ``loss``.
    parameters : str, iterable, callable or None
        Which weights unlearning moves: names, module prefixes, `Parameter` objects, or a
        filter ``(name, parameter) -> bool``; default all that require gradients.
    output : str or callable, optional
        Key, or function of the model's result, that gives the output tensor; ``"logits"``
        is found by itself.
    preconditioner : dict of Tensor, or Adam, AdamW or RMSprop, optional
        Diagonal P of ``w⁺ = w − η P g``, frozen; of an optimizer its second moments, see
        `rmtstab.bridge.preconditioner.diagonal`.
    device : str or torch.device, optional
        Where to differentiate; default where the model is.
    chunk_size : int, optional
        Samples differentiated at a time, where factors are held.
    reduction : {"auto", "factors", "gram", "sketch"}, default "auto"
        ``"factors"`` holds n·k·d numbers (the most accurate: small problems); ``"gram"``
        accumulates inner products over the weights, (n(k + 1))² numbers whatever d;
        ``"sketch"`` projects each gradient to ``sketch_size`` numbers. The first that fits.
    sketch_size : int, default 4000
        Inner products of a sketch are right within ``√(2/sketch_size)``, one standard error.
    memory_budget : float, optional
        Bytes that the call may add to the process; default four fifths of what is free.
    max_samples : int, optional
        Read a uniform subsample of at most so many of each set; `NetworkProblem.disagreement`
        tells how far two disjoint halves of it disagree.
    seed : int, default 0
        Seed of the subsamples and of the sketch.
    progress : bool, default False
        Show a bar.
    check_deterministic : bool, default True
        Compare two forward passes first: dropout or batch statistics left on
        would give curvatures of a random network.

    Returns
    -------
    NetworkProblem
        An `rmtstab.UnlearningProblem` with its gradients, how far the network is from
        interpolation, and notes.

    Raises
    ------
    TypeError, ValueError
        If model, loss or data cannot be read rightly: a retain set without samples, values
        that are not finite, forward passes that differ, samples that see each other, a loss
        that is a sum over the batch, not convex, or without curvature while its gradients
        are not zero, labels out of range, an absent device, a memory budget that no
        reduction keeps.

    Warns
    -----
    UserWarning
        If retain and forget share samples.

    References
    ----------
    The factorisation and the batch weights are derived in docs/theory.

    Examples
    --------
    >>> import torch
    >>> from rmtstab import bridge
    >>> model = bridge.TwoLayerReLUCNN(dim=20, filters=3)
    >>> x, y = torch.randn(6, 2, 20, dtype=torch.float64), torch.ones(6, dtype=torch.float64)
    >>> bridge.problem(model, bridge.half_squared_error, (x[:4], y[:4]), (x[4:], y[4:])).n_forget
    2
    """
    progress, seed = _checks.flag("progress", progress), _checks.seed("seed", seed)
    if chunk_size is not None:
        chunk_size = _checks.integer("chunk_size", chunk_size, low=1)
    reading = read(
        model,
        loss,
        retain,
        forget,
        forget_loss=forget_loss,
        parameters=parameters,
        output=output,
        preconditioner=preconditioner,
        device=device,
        max_samples=max_samples,
        seed=seed,
        check_deterministic=check_deterministic,
    )
    _refuse_sums(reading)
    functions = [functions_of(reading, which) for which in (0, 1)]
    notes = reading.notes
    for name, part in zip(("retain", "forget"), functions, strict=True):
        notes += _flat_samples(name, part)
    route = _choose(reading, functions, reduction, sketch_size, memory_budget)
    plain = None
    with naming(reading.network, list(zip(("retain", "forget"), reading.samples, strict=True))):
        if route == "gram":
            try:
                plain = _from_gram(reading, functions, memory_budget, progress)
            except BudgetError:
                if reduction == "gram":
                    raise
                route = "sketch"  # its layers take more than the matrix itself
        if plain is None:
            if route == "sketch":
                error = (2.0 / sketch_size) ** 0.5
                notes += (f"sketched: inner products of gradients within {error:.1%} (one s.e.)",)
                sketched = (reading.network, sketch_size, seed, memory_budget, progress)
                parts = [_sketched(samples, part, *sketched) for samples, part in
                         zip(reading.samples, functions, strict=True)]  # fmt: skip
            else:
                parts = [pulled_back(reading, k, functions[k], chunk_size) for k in (0, 1)]
            joined = _stacked(parts)
            epsilon = float(torch.finfo(reading.network.dtype).eps)
            factors, gradients = reduce_rows(joined[:, :-1], joined[:, -1], epsilon)
            plain = UnlearningProblem(factors, len(parts[0]), gradients)
    sizes = {"retain": range(plain.n_retain)}
    sizes["forget"] = range(plain.n_retain, plain.n_retain + plain.n_forget)
    disagreement = {
        name: halves_disagree(plain.factors, sizes[name], seed)
        for name, samples in zip(("retain", "forget"), reading.samples, strict=True)
        if samples is not None and len(samples) < samples.total
    }
    norms = _norms_of_means(plain)
    return NetworkProblem.of(plain, measure(reading, norms), notes, disagreement, reading=reading)


def _choose(
    reading: Reading,
    functions: list[Tensor],
    reduction: str,
    sketch_size: int,
    memory_budget: float | None,
) -> str:
    """Return the first reduction that fits, or the one asked for; refuse what does not."""
    _checks.choice("reduction", reduction, ("auto", "factors", "gram", "sketch"))
    sketch_size = _checks.integer("sketch_size", sketch_size, low=1)
    budget, network = read_budget(memory_budget, reading.network), reading.network
    n_rows = sum(part.shape[0] * part.shape[2] for part in functions)
    needed = {
        "factors": 6.0 * 8.0 * n_rows * network.n_parameters,  # and copies of the reduction
        "gram": 4.0 * 8.0 * n_rows**2 + MARGIN,
        "sketch": kept_bytes(network, n_rows, sketch_size),
    }
    small = needed["factors"] <= SMALL_BYTES
    order = ("factors", "gram", "sketch") if small else ("gram", "sketch", "factors")
    tried = [name for name in order if name != "gram" or n_rows <= MOST_ROWS]
    for name in tried if reduction == "auto" else [reduction]:
        if needed[name] <= budget:
            return name
    listed = ", ".join(f"reduction={name!r} {size / 1e9:.2g} GB" for name, size in needed.items())
    raise ValueError(
        f"memory_budget must hold {n_rows} functions of {network.n_parameters} weights "
        f"({listed} at sketch_size={sketch_size}), got {budget / 1e9:.2g} GB; raise it, or lower "
        "sketch_size or max_samples"
    )


def _from_gram(
    reading: Reading, functions: list[Tensor], memory_budget: float | None, progress: bool
) -> UnlearningProblem:
    """Both sets' curvatures and gradients from one Gram matrix."""
    width = max(part.shape[2] for part in functions if len(part))
    parts = [pad(part, (width - part.shape[2], 0)) for part in functions]  # gradients stay last
    gram = joint_gram(reading, parts, memory_budget, progress)
    n = sum(len(part) for part in functions)
    epsilon = float(torch.finfo(reading.network.dtype).eps)
    factors, gradients = reduce_gram(gram.cpu().numpy(), n, epsilon)
    return UnlearningProblem(factors, len(functions[0]), gradients)


def joint_gram(
    reading: Reading, functions: list[Tensor], memory_budget: float | None, progress: bool
) -> Tensor:
    """Gram matrix of functions of both sets' outputs, retain first.

    Parameters
    ----------
    reading : Reading
    functions : list of Tensor, shapes (n_retain, C, R) and (n_forget, C, R)
    memory_budget, progress
        As for `rmtstab.bridge.jacobian_gram`.

    Returns
    -------
    Tensor, shape (n·R, n·R), float64
    """
    network, (retain, forget) = reading.network, reading.samples
    options: dict[str, Any] = {"memory_budget": memory_budget, "progress": progress}
    if forget is None:
        return jacobian_gram(network, retain, roots=functions[0], **options)
    if retain.joins(forget):
        return jacobian_gram(network, retain.join(forget), roots=torch.cat(functions), **options)
    own = [
        jacobian_gram(network, samples, roots=part, **options)
        for samples, part in zip((retain, forget), functions, strict=True)
    ]
    cross = jacobian_gram(
        network, retain, forget, roots=functions[0], other_roots=functions[1], **options
    )
    return torch.cat([torch.cat([own[0], cross], 1), torch.cat([cross.mT, own[1]], 1)])


def _sketched(
    samples: Samples | None,
    functions: Tensor,
    network: Network,
    size: int,
    seed: int,
    memory_budget: float | None,
    progress: bool,
) -> FloatArray:
    """Projected factors and gradients (n, k + 1, size) of one set."""
    if samples is None:
        return np.zeros((0, functions.shape[2], size))
    found = sketch(
        network, samples, size, roots=functions, seed=seed, memory_budget=memory_budget,
        progress=progress,
    )  # fmt: skip
    projected: FloatArray = found.factors.cpu().numpy()
    return projected


def _stacked(parts: list[FloatArray]) -> FloatArray:
    """Both sets' factors and gradients (n, k + 1, d), the narrower with factors of zeros."""
    width = max(part.shape[1] for part in parts if len(part))
    padded = [np.pad(part, ((0, 0), (width - part.shape[1], 0), (0, 0))) for part in parts]
    return np.concatenate(padded)


def _norms_of_means(problem: UnlearningProblem) -> tuple[float, float]:
    """Norms of both sets' mean gradients."""
    gradients = problem.gradients if problem.gradients is not None else np.zeros((0, 0))
    parts = gradients[: problem.n_retain], gradients[problem.n_retain :]
    norms = [float(np.linalg.norm(p.mean(axis=0))) if len(p) else float("nan") for p in parts]
    return norms[0], norms[1]


def _refuse_sums(reading: Reading) -> None:
    for name, loss in zip(("retain", "forget"), reading.losses, strict=True):
        if loss is not None and not loss.normalised:
            raise ValueError(
                f"loss must be a mean over the batch, got a sum on {name} ({loss.name}); use "
                "reduction='mean' and a step size times the batch size"
            )


def _flat_samples(name: str, functions: Tensor) -> tuple[str, ...]:
    """Refuse a set without curvature whose gradients are not zero: not stable, but unseen.

    A note where that holds for some of its samples.
    """
    flat = ~functions[..., :-1].flatten(1).any(dim=1) & functions[..., -1].any(dim=1)
    if len(flat) and bool(flat.all()):
        raise ValueError(
            f"loss must curve in the outputs, got none at any {name} sample while gradients are "
            "not zero: it is linear there (log-probabilities inside the model, an L1 or a "
            "clipped loss); return logits and use CrossEntropyLoss or BCEWithLogitsLoss"
        )
    count = int(flat.sum())
    return (f"{name}: {count} of {len(flat)} samples push without curvature",) if count else ()
