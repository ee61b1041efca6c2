"""Trees of dicts and tuples whose leaves are tensors: what models take and losses compare with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor


def map_tensors(function: Any, tree: Any) -> Any:
    """Apply a function to every tensor of a tree of dicts and tuples."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, Mapping):
        return {key: map_tensors(function, value) for key, value in tree.items()}
    return tuple(map_tensors(function, value) for value in tree)


def tensors(tree: Any) -> list[Tensor]:
    """Every tensor of a tree of dicts and tuples, in order."""
    found: list[Tensor] = []
    map_tensors(found.append, tree)
    return found


def check_tree(name: str, tree: Any) -> None:
    """Raise unless something is a tensor, or a dict, tuple or list of such trees."""
    if isinstance(tree, Tensor):
        return
    if not isinstance(tree, Mapping | tuple | list) or not tree:
        raise TypeError(
            f"{name} must be a tensor, or a dict or tuple of tensors, got {type(tree).__name__}"
        )
    for part in tree.values() if isinstance(tree, Mapping) else tree:
        check_tree(name, part)


def tree_of(name: str, values: Any) -> Any:
    """Read tensors, arrays, tables and lists as a tree of detached tensors.

    Parameters
    ----------
    name : str
        What messages call the set.
    values : object

    Raises
    ------
    TypeError
        If something in it is neither a dense tensor nor made of numbers.
    """
    if isinstance(values, Tensor):
        if values.layout != torch.strided or values.is_quantized:
            kind = "a quantized tensor" if values.is_quantized else f"layout {values.layout}"
            raise TypeError(
                f"{name} must hold dense tensors, got {kind}; use to_dense() or dequantize()"
            )
        return values.detach()
    if isinstance(values, Mapping):
        return {key: tree_of(f"{name}[{key!r}]", value) for key, value in values.items()}
    if isinstance(values, tuple) or (isinstance(values, list) and _holds_tensors(values)):
        return tuple(tree_of(name, value) for value in values)
    try:
        if hasattr(values, "__array__"):  # arrays and tables
            return torch.from_numpy(np.ascontiguousarray(values))
        return torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        leaf = values
        while isinstance(leaf, list) and leaf:
            leaf = leaf[0]
        what = "text; encode it, or leave it out" if isinstance(leaf, str) else error
        raise TypeError(f"{name} must hold tensors or numbers, got {what}") from None


def concatenated(trees: list[Any]) -> Any:
    """Join trees of one structure along the first axis of their tensors."""
    first = trees[0]
    if isinstance(first, Tensor):
        return torch.cat(trees)
    if isinstance(first, Mapping):
        return {key: concatenated([tree[key] for tree in trees]) for key in first}
    return tuple(concatenated(list(parts)) for parts in zip(*trees, strict=True))


def _holds_tensors(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(v, Tensor | np.ndarray | Mapping) for v in values)
