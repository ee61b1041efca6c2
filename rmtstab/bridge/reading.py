"""Read a model, its loss and its data together: right, or refused by name."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rmtstab import _checks
from rmtstab.bridge.data_sets import read_samples
from rmtstab.bridge.devices import resolve_device
from rmtstab.bridge.independence import check_network
from rmtstab.bridge.loss_reading import as_module, read_loss
from rmtstab.bridge.model_checks import check_order
from rmtstab.bridge.network import Network
from rmtstab.bridge.recompose import without_sigmoid
from rmtstab.bridge.sample_loss import SampleLoss
from rmtstab.bridge.samples import Samples, shared_samples


@dataclass(frozen=True)
class Reading:
    """A network, its data and losses, checked against one another.

    Attributes
    ----------
    network : Network
    samples : pair of Samples; the second None where there is nothing to forget
    losses : pair of SampleLoss or None
    outputs : pair of Tensor, shapes (n_retain, C) and (n_forget, C)
        At the trained weights.
    weights : pair of Tensor, shapes (n_retain,) and (n_forget,), float64
        ``n ω_i`` of each whole set (``ω_i`` of a summed loss): 1 for a plain mean.
    notes : tuple of str
        What a user should know about how things were read.
    functions : pair of callables
        The losses as torch has them, of the outputs that the network gives.
    """

    network: Network
    samples: tuple[Samples, Samples | None]
    losses: tuple[SampleLoss, SampleLoss | None]
    outputs: tuple[Tensor, Tensor]
    weights: tuple[Tensor, Tensor]
    notes: tuple[str, ...]
    functions: tuple[Any, Any] = (None, None)


def read(
    model: nn.Module,
    loss: Any,
    retain: Any,
    forget: Any = None,
    *,
    forget_loss: Any = None,
    parameters: Any = None,
    output: Any = None,
    preconditioner: Any = None,
    device: torch.device | str | None = None,
    max_samples: int | None = None,
    seed: int = 0,
    check_deterministic: bool | None = True,
    names: tuple[str, str] = ("retain", "forget"),
) -> Reading:
    """Read and check everything that an entry point was given; the model is left as it was.

    Parameters
    ----------
    model, loss, retain, forget, forget_loss, parameters, output, preconditioner
        As for `rmtstab.bridge.problem`; ``forget`` may be None.
    device, max_samples, seed, check_deterministic
        As for `rmtstab.bridge.problem`; None where a user has no such choice.
    names : pair of str
        What messages call the two sets.

    Returns
    -------
    Reading

    Raises
    ------
    TypeError, ValueError
        If anything cannot be read rightly; one line that names the argument, what was
        seen, what is accepted and the remedy.
    """
    seed = _checks.seed("seed", seed)
    optional = check_deterministic is not None
    repeats = _checks.flag("check_deterministic", check_deterministic) if optional else True
    place = None if device is None else resolve_device(device)
    check_order(model, loss)
    network = Network(
        model, parameters=parameters, output=output, device=place, preconditioner=preconditioner
    )
    sets = [
        None
        if data is None
        else read_samples(name, data, device=network.device, max_samples=max_samples, seed=seed + k)
        for k, (name, data) in enumerate(zip(names, (retain, forget), strict=True))
    ]
    if sets[0] is None or not len(sets[0]):
        raise ValueError(f"{names[0]} must hold at least one sample, got 0")
    first, second = sets[0], sets[1] if sets[1] is not None and len(sets[1]) else None
    notes = [
        f"{name}: {len(part)} of {part.total} samples, drawn uniformly"
        for name, part in zip(names, (first, second), strict=True)
        if part is not None and len(part) < part.total
    ]
    for name, part in zip(names, (first, second), strict=True):
        notes += [f"{name}: {note}" for note in (part.notes if part is not None else ())]
    if second is not None:
        notes += warn_of_shared(first, second, names)
    functions = [as_module(loss), as_module(loss)]
    if forget_loss is not None:
        functions[1] = as_module(forget_loss, "forget_loss")
    for name, part in zip(names, (first, second), strict=True):
        if part is not None:
            try:
                network.learn_shape(part)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
    check_network(network, first, repeats=repeats, optional=optional)
    if all(type(f) is nn.BCELoss for f in functions):
        functions = [without_sigmoid(network, f, first) for f in functions]
    outputs: list[Tensor] = []
    losses: list[Any] = []
    weights: list[Tensor] = []
    for name, part, function in zip(names, (first, second), functions, strict=True):
        if part is None:
            outputs.append(outputs[0][:0])
            losses.append(None)
            weights.append(weights[0][:0])
            continue
        outputs.append(network.outputs(part))
        _check_finite(name, outputs[-1], part)
        try:
            read_as = read_loss(function, network, part, outputs[-1], model.parameters())
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name}: {error}") from error
        mass = read_as.masses(part.targets)
        omega = read_as.batch_weights(mass)
        losses.append(read_as)
        weights.append(omega * len(part) if read_as.normalised else omega)
        notes += [f"{name}: {note}" for note in read_as.notes]
        if read_as.normalised and bool((mass - mass[0]).abs().max() > 1e-9 * mass.abs().max()):
            notes.append(
                f"{name}: the loss weighs a sample by the batch it is in; its weights in the whole "
                "set are frozen, thresholds for smaller batches are approximate"
            )
    return Reading(
        network, (first, second), (losses[0], losses[1]), (outputs[0], outputs[1]),
        (weights[0], weights[1]), (*network.notes, *notes), (functions[0], functions[1]),
    )  # fmt: skip


def read_held_out(
    reading: Reading, test: Any, *, max_samples: int | None = None, seed: int = 0
) -> tuple[Samples | None, tuple[str, ...]]:
    """Read a test set beside what is trained on, and what a user should know of it.

    Parameters
    ----------
    reading : Reading
    test : pair of tensors, Dataset, DataLoader or None
    max_samples, seed
        As for `read`.

    Raises
    ------
    TypeError, ValueError
        If it is empty, or its inputs and targets are not such as the retain set's are.
    """
    if test is None:
        return None, ()
    network = reading.network
    found = read_samples(
        "test", test, device=network.device, max_samples=max_samples, seed=seed + 2
    )
    if not len(found):
        raise ValueError("test must hold at least one sample, got 0; None is no test set")
    try:
        network.learn_shape(found)
        outputs = network.outputs(found)
        read_loss(reading.functions[0], network, found, outputs)
    except (TypeError, ValueError) as error:
        raise type(error)(f"test: {error}") from error
    _check_finite("test", outputs, found)
    notes: list[str] = []
    for name, part in zip(("retain", "forget"), reading.samples, strict=True):
        if part is not None:
            notes += warn_of_shared(part, found, (name, "test"))
    return found, tuple(notes)


def _check_finite(name: str, outputs: Tensor, samples: Samples) -> None:
    wrong = (~outputs.isfinite()).any(dim=1).nonzero().flatten()
    if len(wrong):
        place = int(samples.indices[int(wrong[0])])
        raise ValueError(
            f"model must give finite outputs, got NaN or infinity at {name} sample {place}"
        )


def warn_of_shared(retain: Samples, forget: Samples, names: tuple[str, str]) -> list[str]:
    """Warn where the second set holds samples of the first; the same as notes."""
    shared = shared_samples(retain, forget)
    if shared:
        listed = ", ".join(f"{i} (= {names[0]} {j})" for i, j in shared[:5])
        more = f" and {len(shared) - 5} more" if len(shared) > 5 else ""
        why = "are not held out" if names[1] == "test" else "are descended and ascended at once"
        note = (
            f"{names[1]} and {names[0]} share samples: {names[1]} {listed}{more}; they {why}: "
            "take them out of one set"
        )
        warnings.warn(note, UserWarning, stacklevel=4)
        return [note]
    return []
