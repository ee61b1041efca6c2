"""Curvature of the user's batch loss as SciPy linear operators: nothing of size d × d."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator
from torch import Tensor, nn

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.bridge.autograd_loss import AutogradLoss
from rmtstab.bridge.derivatives import refuse_nonfinite
from rmtstab.bridge.network import Network, Weights, untouched
from rmtstab.bridge.reading import Reading, read
from rmtstab.bridge.sample_loss import OutputRoots, SampleLoss
from rmtstab.bridge.samples import Samples
from rmtstab.bridge.schedule import available_memory

Kind = Literal["hessian", "gauss_newton"]
CHUNK = 64  # samples whose graphs are built together
GRAPH_SHARE = 0.4  # of the free memory, for graphs kept from product to product


@dataclass(frozen=True)
class LossTerm:
    """``coefficient · Σ_i ω_i ℓ_i`` over a set.

    Attributes
    ----------
    coefficient : float
    samples : Samples
    loss : SampleLoss
    weights : Tensor, shape (n,)
        ω_i.
    """

    coefficient: float
    samples: Samples
    loss: SampleLoss
    weights: Tensor


class CurvatureOperator(LinearOperator):  # type: ignore[misc]
    r"""``P^{1/2} C P^{1/2}`` with C the Hessian or Gauss–Newton matrix of a sum of losses.

    Products are exact derivatives (no finite differences), over all samples (no average of
    batches), in the network's precision, returned in float64; the model's own gradients are
    not touched. Graphs of the gradient are kept from product to product while they fit.

    Parameters
    ----------
    network : Network
    terms : sequence of LossTerm
    kind : {"hessian", "gauss_newton"}
    notes : sequence of str
        What a user should know about how model and loss were read.

    Attributes
    ----------
    shape : tuple of int
        (d, d), in the order of ``network.names``.
    n_products : int
        Products made so far.
    notes : tuple of str
    """

    def __init__(
        self,
        network: Network,
        terms: Sequence[LossTerm],
        kind: Kind,
        notes: Sequence[str] = (),
    ) -> None:
        self.network, self.terms, self.kind = network, tuple(terms), kind
        self.notes = tuple(notes)
        self.n_products = 0
        self._graphs: list[_Graph] = []
        self._are_kept: bool | None = None
        d = network.n_parameters
        super().__init__(np.dtype(np.float64), (d, d))

    def block(self, parameters: str | Sequence[str]) -> LinearOperator:
        """Diagonal block of some weights: names or module prefixes, as for ``parameters=``.

        Parameters
        ----------
        parameters : str or sequence of str

        Returns
        -------
        scipy.sparse.linalg.LinearOperator

        Raises
        ------
        ValueError
            If nothing has such a name.
        """
        listed = (parameters,) if isinstance(parameters, str) else parameters
        wanted = [
            _checks.instance("parameters", name, str)
            for name in _checks.items("parameters", listed)
        ]
        if not wanted:
            raise ValueError("parameters must hold a name or more, got none")
        places = []
        start = 0
        for name in self.network.names:
            stop = start + self.network.weights[name].numel()
            if any(name == w or name.startswith(f"{w}.") for w in wanted):
                places.append(np.arange(start, stop))
            start = stop
        if not places:
            _checks.choice("parameters", wanted[0], self.network.names)
        inside = np.concatenate(places)

        def product(vector: FloatArray) -> FloatArray:
            full = np.zeros(self.shape[0])
            full[inside] = np.ravel(vector)
            result: FloatArray = self.matvec(full)[inside]
            return result

        return LinearOperator(
            (len(inside), len(inside)), matvec=product, rmatvec=product, dtype=np.float64
        )

    def _matvec(self, vector: FloatArray) -> FloatArray:
        network = self.network
        # scaled to 1: a tiny vector keeps its digits in float32
        size = float(np.linalg.norm(vector))
        if size == 0.0:
            return np.zeros(self.shape[0])
        flat = torch.as_tensor(np.ravel(vector), dtype=torch.float64, device=network.device)
        scale = 1.0 if network.scale is None else network.scale.double()
        tangent = network.unflatten((flat * scale / size).to(network.dtype))
        total = torch.zeros_like(flat)
        with untouched(network.model), network.differentiable():
            for graph in self._each_graph():
                total += network.flatten(graph.product(tangent)).double()
        if np.isfinite(size):
            names = ("",) if len(self.terms) == 1 else ("retain", "forget")
            sets = [(name, term.samples) for name, term in zip(names, self.terms, strict=False)]
            refuse_nonfinite(network, sets, total)
        self.n_products += 1
        result: FloatArray = (total * scale * size).cpu().numpy()
        return result

    def _adjoint(self) -> CurvatureOperator:
        return self

    _transpose = _adjoint

    def _each_graph(self) -> Any:
        """Yield the graphs of all chunks, kept ones or new ones."""
        if self._are_kept:
            yield from self._graphs
            return
        room = GRAPH_SHARE * available_memory(self.network.device)
        graphs: list[_Graph] | None = []
        for term in self.terms:
            start = 0
            for chunk in term.samples.chunks(CHUNK):
                weights = term.coefficient * term.weights[start : start + len(chunk)]
                start += len(chunk)
                graph = _Graph(self.network, chunk, term.loss, weights, self.kind)
                room -= graph.size
                graphs = None if graphs is None or room < 0 else [*graphs, graph]
                yield graph
        if graphs is not None and self._are_kept is None:
            self._graphs, self._are_kept = graphs, True
        else:
            self._are_kept = False


class _Graph:
    """The gradient of one chunk's loss, or its linearised outputs, ready to be differentiated."""

    def __init__(
        self, network: Network, chunk: Samples, loss: SampleLoss, weights: Tensor, kind: Kind
    ) -> None:
        self.size = 0.0
        self.leaves = {name: w.detach().requires_grad_() for name, w in network.weights.items()}
        self.roots: OutputRoots | None = None
        known = {w.data_ptr() for w in network.weights.values()}

        def keep(tensor: Tensor) -> Tensor:
            if tensor.data_ptr() not in known:
                known.add(tensor.data_ptr())
                self.size += tensor.numel() * tensor.element_size()
            return tensor

        counting = torch.autograd.graph.saved_tensors_hooks
        with torch.enable_grad(), counting(keep, lambda tensor: tensor):
            self.outputs = network.apply(self.leaves, chunk.inputs)
        here = self.outputs.detach()
        slope: Tensor | None = None
        bent: Any = None
        if kind == "hessian":  # the loss enters by its slope and curvature here alone
            slope, bent = loss.gradients(here, chunk.targets), _bending(loss, here, chunk.targets)
        else:
            self.roots, self.weights = loss.roots(here, chunk.targets), weights
        with torch.enable_grad(), counting(keep, lambda tensor: tensor):
            if slope is not None:
                change = self.outputs.double() - here.double()
                value = (weights * ((slope + 0.5 * bent(change)) * change).sum(dim=1)).sum()
            else:
                # Jᵀ dual, linear in dual: its derivative along v is J v
                self.dual = torch.zeros_like(self.outputs, requires_grad=True)
                value = (self.outputs * self.dual).sum()
            self.slopes = torch.autograd.grad(
                value, list(self.leaves.values()), create_graph=True, allow_unused=True
            )

    def product(self, tangent: Weights) -> Weights:
        """Product of this chunk's curvature with a direction of the weights."""
        pairs = zip(self.leaves, self.slopes, strict=True)
        with torch.enable_grad():
            along = [(s * tangent[name]).sum() for name, s in pairs if s is not None and s.grad_fn]
            value = torch.stack(along).sum() if along else None
        leaves = list(self.leaves.values())
        if self.roots is not None:
            moved = torch.zeros_like(self.outputs)
            if value is not None:
                (moved,) = torch.autograd.grad(value, self.dual, retain_graph=True)
            through = self.weights[:, None] * through_roots(self.roots, moved.double())
            value = (self.outputs * through.to(self.outputs)).sum()
        if value is None or not value.requires_grad:
            return {name: torch.zeros_like(leaf) for name, leaf in self.leaves.items()}
        found = torch.autograd.grad(value, leaves, retain_graph=True, materialize_grads=True)
        return dict(zip(self.leaves, found, strict=True))


def _bending(loss: SampleLoss, outputs: Tensor, targets: Any) -> Callable[[Tensor], Tensor]:
    """Return ``v → ∇²ℓ_i v_i`` on vectors (n, C) in output space; the loss may be non-convex."""
    if isinstance(loss, AutogradLoss):
        hessians = loss.hessians(outputs, targets)
        return lambda values: torch.einsum("nab,nb->na", hessians, values)
    roots = loss.roots(outputs, targets)
    return lambda values: through_roots(roots, values)


def through_roots(roots: OutputRoots, values: Tensor) -> Tensor:
    """``R_i R_iᵀ v_i`` of vectors (n, C) in output space."""
    inner = torch.einsum("ngck,ngc->ngk", roots.blocks, values[:, roots.index])
    outer = torch.einsum("ngck,ngk->ngc", roots.blocks, inner)
    return outer.flatten(1)[:, roots.index.flatten().argsort()]


def hessian_operator(
    model: nn.Module, loss: Any, data: Any, *, parameters: Any = None, **options: Any
) -> CurvatureOperator:
    r"""Hessian ``∇²L`` of the loss of the whole set, in the weights that move.

    Parameters
    ----------
    model, loss, data, parameters
        As for `rmtstab.bridge.problem`; the loss need not be convex.
    **options
        ``output``, ``preconditioner``, ``device``, ``max_samples``, ``seed`` and
        ``check_deterministic``, as for `rmtstab.bridge.problem`.

    Returns
    -------
    CurvatureOperator

    Raises
    ------
    TypeError, ValueError
        As for `rmtstab.bridge.problem`.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from rmtstab import bridge
    >>> model = torch.nn.Linear(2, 1, bias=False, dtype=torch.float64)
    >>> x = torch.diag(torch.tensor([1.0, 2.0], dtype=torch.float64))
    >>> H = bridge.hessian_operator(model, bridge.half_squared_error, (x, x[:, :1]))
    >>> (H @ np.eye(2)).round(12)
    array([[0.5, 0. ],
           [0. , 2. ]])
    """
    return _operator("hessian", model, loss, data, None, 0.0, parameters, options)


def gauss_newton_operator(
    model: nn.Module, loss: Any, data: Any, *, parameters: Any = None, **options: Any
) -> CurvatureOperator:
    r"""Generalised Gauss–Newton matrix ``Σ_i ω_i J_iᵀ ∇²ℓ_i J_i`` of the whole set.

    Parameters
    ----------
    model, loss, data, parameters, **options
        As for `hessian_operator`; the loss must be convex in the outputs.

    Returns
    -------
    CurvatureOperator

    Raises
    ------
    TypeError, ValueError
        As for `rmtstab.bridge.problem`.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from rmtstab import bridge
    >>> model = torch.nn.Linear(2, 1, bias=False, dtype=torch.float64)
    >>> x = torch.diag(torch.tensor([1.0, 2.0], dtype=torch.float64))
    >>> G = bridge.gauss_newton_operator(model, bridge.half_squared_error, (x, x[:, :1]))
    >>> (G @ np.array([0.0, 1.0])).round(12)
    array([0., 2.])
    """
    return _operator("gauss_newton", model, loss, data, None, 0.0, parameters, options)


def mix_hessian_operator(
    model: nn.Module,
    loss: Any,
    retain: Any,
    forget: Any,
    alpha: float,
    *,
    kind: Kind = "gauss_newton",
    parameters: Any = None,
    **options: Any,
) -> CurvatureOperator:
    r"""Mix-Hessian ``D(α) = (1−α) H_R − α H_F`` of descent on retain and ascent on forget.

    Parameters
    ----------
    model, loss, retain, forget
        As for `hessian_operator`.
    alpha : float
        Mixing in [0, 1].
    kind : {"gauss_newton", "hessian"}, default "gauss_newton"
        Which curvature of each set.
    parameters, **options
        As for `hessian_operator`, and ``forget_loss``.

    Returns
    -------
    CurvatureOperator

    Raises
    ------
    TypeError, ValueError
        As for `rmtstab.bridge.problem`.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from rmtstab import bridge
    >>> model = torch.nn.Linear(2, 1, bias=False, dtype=torch.float64)
    >>> x = torch.diag(torch.tensor([1.0, 2.0], dtype=torch.float64))
    >>> sets = [(x[k : k + 1], x[k : k + 1, :1]) for k in (0, 1)]
    >>> D = bridge.mix_hessian_operator(model, bridge.half_squared_error, *sets, 0.25)
    >>> (D @ np.ones(2)).round(12)
    array([ 0.75, -1.  ])
    """
    alpha = _checks.real("alpha", alpha, low=0.0, high=1.0)
    _checks.choice("kind", kind, ("gauss_newton", "hessian"))
    return _operator(kind, model, loss, retain, forget, alpha, parameters, options)


def _operator(
    kind: Kind,
    model: nn.Module,
    loss: Any,
    data: Any,
    forget: Any,
    alpha: float,
    parameters: Any,
    options: dict[str, Any],
) -> CurvatureOperator:
    names = ("data", "data") if forget is None else ("retain", "forget")
    reading = read(model, loss, data, forget, parameters=parameters, names=names, **options)
    return operator_of(reading, kind, None if forget is None else alpha)


def operator_of(reading: Reading, kind: Kind, alpha: float | None = None) -> CurvatureOperator:
    """Curvature of what has been read: of the first set, or ``D(alpha)`` of both.

    Parameters
    ----------
    reading : Reading
    kind : {"hessian", "gauss_newton"}
    alpha : float or None
        None for the first set's own loss. In a mix a summed loss counts by its mean, as in
        theory.

    Returns
    -------
    CurvatureOperator
    """
    coefficients = (1.0, 0.0) if alpha is None else (1.0 - alpha, -alpha)
    terms = []
    sets = zip(reading.samples, reading.losses, reading.weights, coefficients, strict=True)
    for samples, loss, weights, coefficient in sets:
        if samples is not None and loss is not None and coefficient:
            is_mean = loss.normalised or alpha is not None
            omega = weights / len(samples) if is_mean else weights
            terms.append(LossTerm(coefficient, samples, loss, omega))
    return CurvatureOperator(reading.network, terms, kind, reading.notes)
