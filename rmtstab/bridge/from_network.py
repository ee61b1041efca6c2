"""Read the unlearning problem off a trained network."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from rmtstab._results import FloatArray
from rmtstab.bridge.factors import factors_and_gradients
from rmtstab.bridge.interpolation import measure
from rmtstab.bridge.network_problem import NetworkProblem, halves_disagree
from rmtstab.bridge.reading import Reading, read
from rmtstab.dynamics.problem import UnlearningProblem


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
    max_samples: int | None = None,
    seed: int = 0,
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
        Samples differentiated at a time.
    max_samples : int, optional
        Read a uniform subsample of at most so many of each set; `NetworkProblem.disagreement`
        tells how far two disjoint halves of it disagree.
    seed : int, default 0
        Seed of the subsamples.
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
        are not zero, labels out of range, an absent device.

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
    (z_retain, g_retain), (z_forget, g_forget) = (
        factors_and_gradients(reading, which, chunk_size) for which in (0, 1)
    )
    for name, factors, slopes in (("retain", z_retain, g_retain), ("forget", z_forget, g_forget)):
        _refuse_flat(name, factors, slopes)
    plain = UnlearningProblem.from_factors(z_retain, z_forget, gradients=(g_retain, g_forget))
    norms = (_norm_of_mean(g_retain), _norm_of_mean(g_forget))
    bounds = {"retain": range(plain.n_retain)}
    bounds["forget"] = range(plain.n_retain, plain.n_retain + plain.n_forget)
    disagreement = {
        name: halves_disagree(plain.factors, bounds[name], seed)
        for name, samples in zip(("retain", "forget"), reading.samples, strict=True)
        if samples is not None and len(samples) < samples.total
    }
    return NetworkProblem.of(plain, measure(reading, norms), reading.notes, disagreement)


def _refuse_sums(reading: Reading) -> None:
    for name, loss in zip(("retain", "forget"), reading.losses, strict=True):
        if loss is not None and not loss.normalised:
            raise ValueError(
                f"loss must be a mean over the batch, got a sum on {name} ({loss.name}); use "
                "reduction='mean' and a step size times the batch size"
            )


def _refuse_flat(name: str, factors: FloatArray, gradients: FloatArray) -> None:
    """Refuse a set without curvature whose gradients are not zero: not stable, but unseen."""
    if len(factors) and not factors.any() and gradients.any():
        raise ValueError(
            f"loss must curve in the outputs, got none at any {name} sample while gradients are "
            "not zero: it is linear there (log-probabilities inside the model, an L1 or a "
            "clipped loss); return logits and use CrossEntropyLoss or BCEWithLogitsLoss"
        )


def _norm_of_mean(gradients: FloatArray) -> float:
    return float(np.linalg.norm(gradients.mean(axis=0))) if len(gradients) else float("nan")
