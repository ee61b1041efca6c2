"""A model read as a function of the weights that move, without side effects."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from rmtstab import _checks
from rmtstab.bridge.checkpoints import without_checkpoints
from rmtstab.bridge.devices import resolve_device
from rmtstab.bridge.model_checks import OutputError, check_model, select_output
from rmtstab.bridge.parameters import moving_names, other_names
from rmtstab.bridge.precision import full_precision
from rmtstab.bridge.preconditioner import diagonal
from rmtstab.bridge.raised import first_line
from rmtstab.bridge.samples import Samples
from rmtstab.bridge.trees import check_tree, map_tensors, tensors
from rmtstab.bridge.untouched import untouched

__all__ = ["Network", "untouched"]

Weights = dict[str, Tensor]
FORWARD_CHUNK = 64  # samples a forward pass: more leave the cache
JACOBIAN_BYTES = 2.5e8  # size of a chunk of Jacobians


class Network:
    r"""Outputs ``f_i(w)`` of a model, and their Jacobian, as functions of its moving weights.

    Weights are held as detached copies; the model's own are read once and never written.
    Half precision is raised to float32: the function of the same weights, without the
    rounding of each of its operations.

    Parameters
    ----------
    model : torch.nn.Module
        In the mode (`train` or `eval`) in which it is to be read.
    parameters : str, iterable, callable or None
        Which weights move: names, module prefixes, `Parameter` objects, or a filter
        ``(name, parameter) -> bool``; default all that require gradients.
    output : str, callable or None
        Key or attribute of the model's result, or a function of it, that gives the output
        tensor; needed where the model returns several.
    device : torch.device or str, optional
        Where to compute; default where the model is.
    preconditioner : dict of Tensor, or torch.optim.Optimizer, optional
        Frozen diagonal P, see `rmtstab.bridge.problem`.

    Attributes
    ----------
    names : tuple of str
        Of the moving weights, in the order of ``model.named_parameters()``.
    weights, fixed : dict of Tensor
        What moves; frozen parameters and buffers.
    n_parameters : int
        d, the number of moving weights.
    output_shape : tuple of int
        Of one sample's output; known after the first call of `outputs`.
    preconditioner : dict of Tensor or None
    scale : Tensor, shape (d,), or None
        ``P^{1/2}``, flat.
    notes : list of str
        What a user should know about how the model was read.

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge.network import Network
    >>> from rmtstab.bridge.data_sets import read_samples
    >>> network = Network(torch.nn.Linear(3, 2))
    >>> samples = read_samples("retain", (torch.zeros(4, 3), torch.zeros(4, 2)))
    >>> network.n_parameters, network.outputs(samples).shape, network.jacobian(samples).shape
    (8, torch.Size([4, 2]), torch.Size([4, 2, 8]))
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        parameters: Any = None,
        output: str | Callable[[Any], Tensor] | None = None,
        device: torch.device | str | None = None,
        preconditioner: Any = None,
    ) -> None:
        check_model(model)
        self.model, self.output = model, output
        available = dict(model.named_parameters())
        self.names = moving_names(model, parameters)
        home = available[self.names[0]].device
        self.device = home if device is None else resolve_device(device)
        # a lookup with max_norm writes into the weight it is given
        renormed = any(getattr(m, "max_norm", None) is not None for m in model.modules())

        def hold(tensor: Tensor, copy: bool) -> Tensor:
            half = tensor.is_floating_point() and tensor.element_size() < 4
            dtype = torch.float32 if half else tensor.dtype
            moved = tensor.detach().to(self.device, dtype)
            return moved.clone() if copy and moved.data_ptr() == tensor.data_ptr() else moved

        self.weights: Weights = {name: hold(available[name], True) for name in self.names}
        dtypes = {str(weight.dtype): name for name, weight in reversed(self.weights.items())}
        if len(dtypes) > 1:
            listed = " and ".join(f"{dtype} in {name!r}" for dtype, name in dtypes.items())
            raise ValueError(
                f"model must hold the weights that move in one precision, got {listed}; use "
                "model.double(), or parameters= of one precision"
            )
        self.fixed: Weights = {
            name: hold(p, renormed) for name, p in available.items() if name not in self.weights
        }
        self.fixed |= {name: hold(value, True) for name, value in model.named_buffers()}
        self.aliases = other_names(model)
        self.dtype = next(iter(self.weights.values())).dtype
        self.model_dtype = available[self.names[0]].dtype
        self.n_parameters = sum(weight.numel() for weight in self.weights.values())
        self.output_shape: tuple[int, ...] | None = None
        self.met: set[Any] = set()  # shapes and dtypes of inputs that the model has taken
        self.idle = self.names  # weights on which no output seen so far depends
        self.is_checked = False  # whether it was seen to be a function of one sample
        self.notes: list[str] = []
        self.vmap_proved: set[tuple[int, int, tuple[str, ...]]] = set()  # shapes it is right for
        self.bypassed: tuple[str, ...] = ()
        self.input_dtype: torch.dtype | None = None  # to which floating inputs are raised
        if self.model_dtype.itemsize < 4:
            self.input_dtype = torch.float32
            self.notes.append(f"{self.model_dtype} weights, differentiated in float32")
        hooked = [name for name in self.names if getattr(available[name], "_backward_hooks", None)]
        if hooked:
            self.notes.append(
                f"gradient hooks of {', '.join(map(repr, hooked[:3]))} are not applied: "
                "derivatives are those of the outputs"
            )
        self.preconditioner = diagonal(preconditioner, model, self.weights)
        self.scale = (
            None if self.preconditioner is None else self.flatten(self.preconditioner).sqrt()
        )

    @property
    def n_outputs(self) -> int:
        """Outputs a sample, C."""
        if self.output_shape is None:
            raise RuntimeError("n_outputs is known after the first call of outputs")
        return int(torch.Size(self.output_shape).numel())

    def flatten(self, tree: Weights) -> Tensor:
        """One vector (d,) of a tensor a moving weight.

        Parameters
        ----------
        tree : dict of str to Tensor
        """
        _checks.mapping("tree", tree, self.names)
        for name in self.names:
            _checks.instance(f"tree['{name}']", tree[name], Tensor)
        return torch.cat([tree[name].reshape(-1) for name in self.names])

    def unflatten(self, vector: Tensor) -> Weights:
        """Undo `flatten`.

        Parameters
        ----------
        vector : Tensor, shape (d,)
        """
        _checks.instance("vector", vector, Tensor)
        if vector.shape != (self.n_parameters,):
            raise ValueError(
                f"vector must have shape ({self.n_parameters},), got {tuple(vector.shape)}"
            )
        parts = torch.split(vector, [self.weights[name].numel() for name in self.names])
        pairs = zip(self.names, parts, strict=True)
        return {name: part.reshape(self.weights[name].shape) for name, part in pairs}

    def apply(self, weights: Weights, inputs: Any) -> Tensor:
        """Outputs (n, C) of a batch: a pure function, for `torch.func` and autograd.

        Parameters
        ----------
        weights : dict of str to Tensor
        inputs : Tensor or tree of tensors
        """
        raw = self.raw(weights, inputs)
        n = batch_size(inputs)
        if self.output_shape is None:
            return raw.reshape(n, -1)
        if raw.numel() != n * self.n_outputs:
            raise ValueError(
                f"model must map each sample to outputs of shape {self.output_shape}, got "
                f"{tuple(raw.shape)} from a batch of {n}"
            )
        return raw.reshape(n, self.n_outputs)  # a forward that squeezes batches of one is undone

    def raw(self, weights: Weights, inputs: Any) -> Tensor:
        """Return what the model gives for a batch, as one tensor in the model's own shape.

        Parameters
        ----------
        weights : dict of str to Tensor
        inputs : Tensor or tree of tensors
        """
        for name, weight in _checks.mapping("weights", weights).items():
            _checks.instance(f"weights['{name}']", weight, Tensor)
        check_tree("inputs", inputs)
        try:
            return self._raw(weights, inputs)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # most models take no other precision; some cast
            met = [*tensors(inputs), *weights.values(), *self.weights.values()]
            found = sorted({str(t.dtype) for t in met if t.is_floating_point()})
            if len(found) < 2:
                raise
            raise ValueError(
                f"weights and inputs must be in one precision, got {' and '.join(found)}: "
                f"{first_line(error)}"
            ) from error

    def _raw(self, weights: Weights, inputs: Any) -> Tensor:
        inputs = map_tensors(self._as_input, inputs)
        with self._bypass():
            state = {**self.fixed, **weights}
            state |= {alias: state[name] for alias, name in self.aliases.items() if name in state}
            args, options = (inputs if isinstance(inputs, tuple) else (inputs,)), None
            if isinstance(inputs, Mapping):
                args, options = (), dict(inputs)
            result = functional_call(self.model, state, args, options, tie_weights=False)
        return select_output(result, self.output)

    def outputs(
        self, samples: Samples, weights: Weights | None = None, *, chunk_size: int | None = None
    ) -> Tensor:
        """Outputs (n, C) of all samples, without gradients, in the mode the user set.

        Parameters
        ----------
        samples : Samples
        weights : dict of str to Tensor, optional
        chunk_size : int, optional
        """
        weights = self.weights if weights is None else weights
        if chunk_size is not None:
            chunk_size = _checks.integer("chunk_size", chunk_size, low=1)
        samples = _checks.instance("samples", samples, Samples).to(self.device)
        with torch.no_grad(), untouched(self.model), self.differentiable():
            return self.forward(samples, weights, chunk_size or FORWARD_CHUNK)

    def forward(self, samples: Samples, weights: Weights, size: int = FORWARD_CHUNK) -> Tensor:
        """Outputs in chunks of ``size``, without the care that `outputs` takes of the model.

        Parameters
        ----------
        samples : Samples
        weights : dict of str to Tensor
        size : int
        """
        self.meet(_checks.instance("samples", samples, Samples))
        self.check_like_weights("weights", weights)
        size = _checks.integer("size", size, low=1)
        parts = [self.apply(weights, chunk.inputs) for chunk in samples.chunks(size)]
        return torch.cat(parts).detach()

    def in_dtype(self, dtype: torch.dtype) -> Network:
        """Return the same network in another precision, weights, buffers and inputs.

        Parameters
        ----------
        dtype : torch.dtype
        """
        _checks.instance("dtype", dtype, torch.dtype, words="torch dtype")
        other = copy.copy(self)

        def cast(tree: Weights) -> Weights:
            return {k: t.to(dtype) if t.is_floating_point() else t for k, t in tree.items()}

        other.weights, other.fixed = cast(self.weights), cast(self.fixed)
        other.dtype = other.input_dtype = dtype
        other.notes, other.vmap_proved, other.met = list(self.notes), set(), set(self.met)
        if self.preconditioner is not None and self.scale is not None:
            other.preconditioner, other.scale = cast(self.preconditioner), self.scale.to(dtype)
        return other

    def jacobian(self, samples: Samples, *, chunk_size: int | None = None) -> Tensor:
        """Jacobian of the outputs, in the coordinates ``P^{-1/2} w`` where there is a P.

        Parameters
        ----------
        samples : Samples
        chunk_size : int, optional
            Samples differentiated at a time; default some 250 MB of derivatives.

        Returns
        -------
        Tensor, shape (n, C, d)
            ``J_i P^{1/2}``; ``J_i`` without preconditioner.
        """
        if chunk_size is not None:
            chunk_size = _checks.integer("chunk_size", chunk_size, low=1)
        samples = _checks.instance("samples", samples, Samples).to(self.device)
        self.meet(samples)
        width = self.n_outputs * self.n_parameters * self.dtype.itemsize
        size = chunk_size or max(1, int(JACOBIAN_BYTES / max(width, 1)))
        with untouched(self.model), self.differentiable():
            parts = [self._jacobian(chunk) for chunk in samples.chunks(size)]
        found = torch.cat(parts)
        return found if self.scale is None else found * self.scale

    @contextmanager
    def differentiable(self) -> Iterator[None]:
        """Choose kernels that can be differentiated twice under `torch.func`, at full precision."""
        fast, cudnn = torch.backends.mha.get_fastpath_enabled(), torch.backends.cudnn.enabled
        with ExitStack() as stack:
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            stack.enter_context(full_precision(self.device))
            stack.enter_context(without_checkpoints())
            stack.enter_context(warnings.catch_warnings())
            # said once, in a note, where it matters
            warnings.filterwarnings("ignore", message="There is a performance drop")
            torch.backends.mha.set_fastpath_enabled(False)
            if self.device.type == "cuda" and any(
                isinstance(m, nn.RNNBase) for m in self.model.modules()
            ):  # cuDNN's have no second derivative
                torch.backends.cudnn.enabled = False
            sparse: list[Any] = [
                m for m in self.model.modules() if getattr(m, "sparse", False) is True
            ]
            for module in sparse:  # embeddings: their gradients as ordinary tensors
                module.sparse = False
            try:
                yield
            finally:
                torch.backends.mha.set_fastpath_enabled(fast)
                torch.backends.cudnn.enabled = cudnn
                for module in sparse:
                    module.sparse = True

    def _jacobian(self, chunk: Samples) -> Tensor:
        def one(weights: Weights, inputs: Any) -> Tensor:
            return self.apply(weights, map_tensors(lambda t: t[None], inputs))[0]

        if not self.vmap_fails:
            found = self._batched_jacobian(one, chunk)
            if found is not None:
                return found
        return torch.stack([self._sample_jacobian(sample) for sample in chunk.chunks(1)])

    vmap_fails = False

    def _batched_jacobian(self, one: Any, chunk: Samples) -> Tensor | None:
        """Jacobian by `vmap`, or None, with a note, where it cannot or is wrong."""
        try:
            blocks = vmap(jacrev(one), in_dims=(None, 0))(self.weights, chunk.inputs)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            reason = "vmap cannot batch this model"
        else:
            flat = [blocks[name].reshape(len(chunk), self.n_outputs, -1) for name in self.names]
            found = torch.cat(flat, dim=2).detach()
            shape = len(chunk), self.n_outputs, self.names
            if shape in self.vmap_proved:
                return found
            # nested vmap is silently wrong for some layers (PReLU, n samples of n outputs)
            exact = self._sample_jacobian(chunk.take([len(chunk) - 1]))
            gap = (found[-1] - exact).norm()
            if bool(gap <= torch.finfo(self.dtype).eps ** 0.5 * exact.norm()):
                self.vmap_proved.add(shape)
                return found
            reason = "vmap gives wrong derivatives of this model"
        self.vmap_fails = True
        self.notes.append(f"samples differentiated one by one: {reason}")
        return None

    def _sample_jacobian(self, sample: Samples) -> Tensor:
        """Jacobian (C, d) of a batch of one, by one backward pass an output."""
        leaves = {name: w.detach().requires_grad_() for name, w in self.weights.items()}
        with torch.enable_grad():
            values = self.apply(leaves, sample.inputs)[0]
            rows = [
                torch.autograd.grad(
                    value, list(leaves.values()), retain_graph=True, materialize_grads=True
                )
                for value in values
            ]
        return torch.stack([torch.cat([slope.reshape(-1) for slope in row]) for row in rows])

    def check_like_weights(self, label: str, given: Weights) -> None:
        """Refuse tensors that are not of the names and shapes of the weights.

        Parameters
        ----------
        label : str
            What the error calls them.
        given : dict of str to Tensor

        Raises
        ------
        TypeError, ValueError
        """
        _checks.mapping(label, given, self.names)
        for name, weight in self.weights.items():
            place = f"{label}[{name!r}]"
            shape = tuple(_checks.instance(place, given[name], Tensor).shape)
            if shape != tuple(weight.shape):
                raise ValueError(f"{place} must have shape {tuple(weight.shape)}, got {shape}")

    def meet(self, samples: Samples) -> None:
        """Learn the shape of outputs, or see once that the model takes inputs of other shapes.

        Parameters
        ----------
        samples : Samples

        Raises
        ------
        ValueError
            As `learn_shape`.
        """
        _checks.instance("samples", samples, Samples)
        if len(samples) and (self.output_shape is None or _shapes(samples) not in self.met):
            self.learn_shape(samples)

    def learn_shape(self, samples: Samples) -> None:
        """Learn one sample's output shape from a batch of two: batches of one may be squeezed.

        Parameters
        ----------
        samples : Samples

        Raises
        ------
        ValueError
            If the model does not take the samples, or gives them other outputs than before.
        """
        _checks.instance("samples", samples, Samples)
        pair = samples.take([0, min(1, len(samples) - 1)]).to(self.device)
        with torch.no_grad(), untouched(self.model), self.differentiable():
            try:
                raw = self._raw(self.weights, pair.inputs)
            except torch.OutOfMemoryError:
                raise
            except OutputError:
                raise
            except Exception as error:  # whatever a model makes of inputs that it was not built for
                parts = tensors(pair.inputs)
                given = ", ".join(f"{tuple(t.shape)} {t.dtype}" for t in parts)
                other = [t for t in parts if t.is_floating_point() and t.dtype != self.model_dtype]
                remedy = f"; use inputs.to({self.model_dtype})" if other else ""
                raise ValueError(
                    f"model must accept the samples' inputs, here a batch {given}, got "
                    f"{first_line(error)}; its weights are {self.model_dtype}{remedy}"
                ) from error
        shape = tuple(raw.shape)
        if not raw.is_floating_point():
            raise ValueError(
                f"model must return real numbers, got {raw.dtype}; pass output= to choose logits"
            )
        if not shape or shape[0] != 2:
            raise ValueError(
                "model must return one output a sample, first axis the samples, got shape "
                f"{shape} from a batch of 2; pass output= to choose or reshape it"
            )
        if self.output_shape not in (None, shape[1:]):
            raise ValueError(
                f"model must give outputs of shape {self.output_shape} for every set, got "
                f"{shape[1:]}; pad inputs to one shape"
            )
        self.output_shape = shape[1:]
        self.met.add(_shapes(samples))

    def _as_input(self, tensor: Tensor) -> Tensor:
        """Copy an input, in the network's precision: layers that work in place write into it."""
        if tensor.is_floating_point() and self.input_dtype is not None:
            return tensor.to(self.input_dtype, copy=True)
        return tensor.clone()

    @contextmanager
    def _bypass(self) -> Iterator[None]:
        """Turn the modules in ``bypassed`` into identities."""
        found = [self.model.get_submodule(name) for name in self.bypassed]
        handles = [m.register_forward_hook(lambda _m, args, _out: args[0]) for m in found]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def batch_size(inputs: Any) -> int:
    """Samples in a batch of inputs."""
    while not isinstance(inputs, Tensor):
        inputs = next(iter(inputs.values() if isinstance(inputs, Mapping) else inputs))
    return len(inputs)


def _shapes(samples: Samples) -> tuple[tuple[tuple[int, ...], torch.dtype], ...]:
    """Shape and type of every input of one sample."""
    return tuple((tuple(t.shape[1:]), t.dtype) for t in tensors(samples.inputs))
