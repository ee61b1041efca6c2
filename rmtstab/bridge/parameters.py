"""Which weights of a model move, and the model with them moved."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from rmtstab import _checks
from rmtstab.bridge.model_checks import check_model


def moving_names(model: nn.Module, parameters: Any = None) -> tuple[str, ...]:
    """Names of the weights that move, in the order of ``model.named_parameters()``.

    Parameters
    ----------
    model : torch.nn.Module
    parameters : str, iterable, callable or None
        Names, module prefixes (``"layers.3"``), `Parameter` objects or any iterable of
        those, generators included; or a filter ``(name, parameter) -> bool``; default all
        that require gradients. A tied weight answers to each of its names.

    Returns
    -------
    tuple of str

    Raises
    ------
    TypeError, ValueError
        If a name is unknown, a parameter is another model's, or nothing moves.

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge.parameters import moving_names
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    >>> moving_names(model, "1")
    ('1.weight', '1.bias')
    >>> moving_names(model, lambda name, p: p.ndim == 1)
    ('0.bias', '1.bias')
    """
    available = dict(model.named_parameters())
    first = {id(p): name for name, p in available.items()}
    aliases = {name: first[id(p)] for name, p in model.named_parameters(remove_duplicate=False)}
    if parameters is None:
        chosen = {name for name, p in available.items() if p.requires_grad}
    elif callable(parameters) and not isinstance(parameters, nn.Module | type):
        chosen = {name for name, p in available.items() if parameters(name, p)}
    else:
        wanted = [parameters] if isinstance(parameters, str | nn.Parameter) else parameters
        # an array without axes calls itself iterable, and is not
        if not isinstance(wanted, Iterable) or getattr(wanted, "ndim", 1) == 0:
            raise TypeError(
                "parameters must be names, module prefixes, Parameters or a filter, "
                f"got {type(parameters).__name__}"
            )
        chosen = set()
        for item in wanted:
            chosen |= _matches(item, first, aliases)
    names = tuple(name for name in available if name in chosen)
    if not names:
        why = "got none that moves"
        if parameters is None:
            why = (
                f"got none of {len(available)} that requires gradients; call "
                "model.requires_grad_() or pass parameters="
            )
        raise ValueError(f"parameters must name at least one parameter, {why}")
    whole = [name for name in names if not available[name].is_floating_point()]
    if whole:
        raise ValueError(
            f"parameters must be real numbers, got {available[whole[0]].dtype} in {whole[0]!r}"
        )
    return names


def other_names(model: nn.Module) -> dict[str, str]:
    """Places of tied parameters and buffers, each with the name of its tensor.

    One name a module: torch's own ties, which name a module used twice at both places, put its
    weights back in the wrong order, and a tie to a third module is lost at the next call.

    Parameters
    ----------
    model : torch.nn.Module

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge.parameters import other_names
    >>> first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    >>> second.weight = first.weight
    >>> other_names(torch.nn.Sequential(first, second, first))
    {'1.weight': '0.weight'}
    """
    firsts: dict[int, str] = {}
    found = {}
    for kind in (nn.Module.named_parameters, nn.Module.named_buffers):
        for path, module in model.named_modules():
            for name, tensor in kind(module, path, recurse=False, remove_duplicate=False):
                if firsts.setdefault(id(tensor), name) != name:
                    found[name] = firsts[id(tensor)]
    return found


def _matches(item: Any, first: dict[int, str], aliases: dict[str, str]) -> set[str]:
    """Names that one entry stands for."""
    if isinstance(item, nn.Parameter):
        if id(item) not in first:
            raise ValueError("parameters must belong to the model, got a Parameter of another one")
        return {first[id(item)]}
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
        item = item[0]  # as model.named_parameters() yields them
    if not isinstance(item, str):
        raise TypeError(f"parameters must hold names or Parameters, got {type(item).__name__}")
    found = {
        name for alias, name in aliases.items() if alias == item or alias.startswith(f"{item}.")
    }
    if not found:
        _checks.choice("parameters", item, list(aliases))
    return found


def displaced(model: nn.Module, displacement: Any, *, parameters: Any = None) -> nn.Module:
    """Copy a model and move its weights: the network at the end of a run.

    Parameters
    ----------
    model : torch.nn.Module
        The trained network at w*; left as it is.
    displacement : array_like, shape (n_parameters,)
        ``w − w*`` of the weights that move, such as ``runs.final[cell, replica]`` of
        `rmtstab.bridge.unlearn`.
    parameters : str, iterable, callable or None
        Which weights move, as in the run.

    Returns
    -------
    torch.nn.Module
        In float32 where the model is in half precision, as it was run.

    Raises
    ------
    ValueError
        If the displacement is of another size.

    Examples
    --------
    >>> import torch
    >>> from rmtstab import bridge
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> _ = torch.nn.init.ones_(model.weight)
    >>> bridge.displaced(model, [1.0, -1.0]).weight.tolist()
    [[2.0, 0.0]]
    """
    check_model(model)
    names = moving_names(model, parameters)
    moved = copy.deepcopy(model)
    if any(p.is_floating_point() and p.element_size() < 4 for p in moved.parameters()):
        moved = moved.float()
    weights = dict(moved.named_parameters())
    found = _checks.array("displacement", displacement, ndim=1, finite=False)  # may have diverged
    sizes = [weights[name].numel() for name in names]
    if len(found) != sum(sizes):
        raise ValueError(
            f"displacement must have shape (n_parameters={sum(sizes)},), got {found.shape}"
        )
    with torch.no_grad():
        for name, part in zip(names, torch.split(torch.as_tensor(found), sizes), strict=True):
            weights[name].add_(part.view(weights[name].shape).to(weights[name]))
    return moved
