"""The real thing: descend on retain, ascend on forget, the network itself, cells and replicas."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.bridge import cnn_runs
from rmtstab.bridge.curves import turns
from rmtstab.bridge.losses import Loss
from rmtstab.bridge.network_runs import Optimiser, run_network
from rmtstab.bridge.reading import Reading, read, read_held_out
from rmtstab.bridge.run_memory import NUMBER, refuse_beyond
from rmtstab.bridge.run_plan import Schedule, plan_runs
from rmtstab.bridge.runs import Runs
from rmtstab.bridge.set_loss import set_losses
from rmtstab.bridge.space_reading import evaluating

Until = Callable[[FloatArray, FloatArray, FloatArray], bool]
OPTIMIZERS = ("sgd", "adamw")
BETAS, EPSILON = (0.9, 0.999), 1e-8


@dataclass(frozen=True, repr=False)
class UnlearningRuns(Runs):
    """Runs of real unlearning; arrays end where the runs were stopped.

    Attributes
    ----------
    curves : Curves
        Arrays of shape cells × replicas × recorded steps.
    turns : Turns
        When runs forgot and collapsed, and the outcome of each cell.
    plan : RunPlan
    final : ndarray, shape cells × replicas × n_parameters, float64
        Displacements w_k − w*; empty where they were not to be kept.
    stopped_early : bool
        Whether ``until`` ended the runs before the horizon.
    flipped : ndarray, shape cells × replicas, float64
        Share of ReLU masks that differ from those at w* after the last step;
        NaN for a model without ``activation_pattern``, or without ``keep_final``.
    outside_theory : tuple of str
        What in these runs no linear stability or function-space prediction covers.
    notes : tuple of str
        How model, loss and data were read and the runs stepped, where that matters.
    """

    dimensions: ClassVar = {
        **Runs.dimensions,
        "final": ("...", "replica", "parameter"),
        "flipped": ("...", "replica"),
    }

    final: FloatArray
    stopped_early: bool
    flipped: FloatArray
    outside_theory: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def _fields(self) -> dict[str, Any]:
        own = ("final", "stopped_early", "flipped", "outside_theory", "notes")
        return {**super()._fields(), **{name: getattr(self, name) for name in own}}


def unlearn(
    model: nn.Module,
    loss: Loss,
    retain: Any,
    forget: Any,
    test: Any = None,
    *,
    step_size: Any,
    batch_size: Any,
    alpha: Any,
    steps: int,
    rng: np.random.Generator | int,
    initial: Any = None,
    replicas: int | None = None,
    sampling: str = "without_replacement",
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    schedule: Schedule = None,
    update: str = "simultaneous",
    optimizer: str = "sgd",
    betas: tuple[float, float] | None = None,
    epsilon: float | None = None,
    max_norm: float | None = None,
    forget_loss: Any = None,
    parameters: Any = None,
    output: Any = None,
    preconditioner: Any = None,
    device: torch.device | str | None = None,
    record_every: int = 1,
    keep_final: bool = True,
    until: Until | None = None,
    forget_level: float = 0.5,
    collapse_level: float = 0.8,
    chunk_size: int | None = None,
) -> UnlearningRuns:
    r"""Run ``w⁺ = w − η[(1−α) ∇L_R(batch) − α ∇L_F(batch)]`` on the real network.

    All cells and replicas are stepped in one batch; only drawn samples are differentiated.
    Batches are those of `LinearisedNetwork.run` with the same seed; a replica's do not
    depend on how many others there are, and are the same in every cell.

    Parameters
    ----------
    model : torch.nn.Module
        The trained network at w*, run in eval mode; it is not changed.
    loss : callable
        ``loss(outputs, targets)`` → scalar, of a batch: weights that depend on the batch
        (class weights, padding) are those of each drawn batch.
    retain, forget : pair of tensors, Dataset or DataLoader
    test : pair of tensors, Dataset or DataLoader, optional
        Held out: its loss and accuracy are recorded.
    step_size : float or array_like
        η > 0; broadcasts with ``alpha`` to the cells.
    batch_size : int or (int, int)
        Sizes of the retain and forget batches.
    alpha : float or array_like
        Mixing in [0, 1]: 1 is pure ascent, 0 descent on the retain set alone.
    steps : int
        Horizon.
    rng : numpy.random.Generator or int
    initial : array_like, shape (replicas, n_parameters), optional
        Displacements w_0 − w* of the parameters that move, in the model's order; default 0.
    replicas : int, optional
        Default the number of initial displacements, else 8.
    sampling : str, default "without_replacement"
        Also ``"with_replacement"``, ``"bernoulli"``, and ``"shuffled"`` epochs.
    momentum : float, default 0.0
        As in `torch.optim.SGD`; AdamW has none.
    weight_decay : float, default 0.0
        As in `torch.optim`; weights that no output depends on have no gradient, and keep.
    schedule : array_like or callable, optional
        Factor of the step size at each step.
    update : {"simultaneous", "alternating"}, default "simultaneous"
        Alternating: an epoch of ascent, then one of descent, and so on.
    optimizer : {"sgd", "adamw"}, default "sgd"
        As in `torch.optim`.
    betas : (float, float), optional
        Of AdamW alone; default (0.9, 0.999).
    epsilon : float, optional
        Of AdamW alone; default 1e-8.
    max_norm : float, optional
        Clip each step's gradient, before a preconditioner, to this Euclidean norm.
    forget_loss, parameters, output, preconditioner, device
        As for `linearise`; no preconditioner with AdamW, which divides by its own.
    record_every : int, default 1
        Steps between records; the start and the end are always recorded.
    keep_final : bool, default True
        Return the displacements at the end.
    until : callable, optional
        ``until(displacement, retain_loss, forget_loss)`` of the records so far, each cells ×
        replicas × records; True ends the runs.
    forget_level, collapse_level : float, default 0.5 and 0.8
        See `rmtstab.bridge.curves.turns`.
    chunk_size : int, optional
        Cells stepped at a time, not with ``until``; default what fits some 500 MB of weights. Of
        these as many runs are differentiated at once as keep some 40 MB for their backward pass.

    Returns
    -------
    UnlearningRuns

    Raises
    ------
    ValueError
        If a batch exceeds its set, alpha lies outside [0, 1], shapes do not fit, an option has
        no say beside another, what is asked for does not fit in memory, or lookups rescale the
        weights that move (``max_norm`` of an embedding).

    See Also
    --------
    rmtstab.bridge.diagnose : what these runs will do, before they are run.
    rmtstab.UnlearningProblem.dynamics : the linearisation of these runs.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from rmtstab import bridge
    >>> model = bridge.TwoLayerReLUCNN(dim=20, filters=3)
    >>> x, y = torch.randn(6, 2, 20, dtype=torch.float64), torch.ones(6, dtype=torch.float64)
    >>> runs = bridge.unlearn(model, bridge.half_squared_error, (x[:4], y[:4]), (x[4:], y[4:]),
    ...                       step_size=[0.1, 0.2], batch_size=2, alpha=0.3, steps=5,
    ...                       initial=1e-3 * np.ones((3, 120)), rng=0)
    >>> runs.displacement.shape
    (2, 3, 6)
    """
    keep_final = _checks.flag("keep_final", keep_final)
    start = None if initial is None else _checks.array("initial", initial, ndim=2)
    if replicas is not None:
        replicas = _checks.integer("replicas", replicas, low=1)
    if chunk_size is not None:
        chunk_size = _checks.integer("chunk_size", chunk_size, low=1)
    if until is not None:
        until = _answering(_checks.function("until", until))
        if chunk_size is not None:
            raise ValueError(
                f"chunk_size must be None with until, which is told of all cells, got {chunk_size}"
            )
    if start is not None and replicas not in (None, len(start)):
        raise ValueError(f"replicas must be that of initial, {len(start)}, got {replicas}")
    if replicas is None:
        replicas = 8 if start is None else len(start)
    optimiser = _optimiser(optimizer, betas, epsilon, max_norm, momentum, preconditioner)
    with evaluating(model):
        reading = read(
            model, loss, retain, forget, forget_loss=forget_loss, parameters=parameters,
            output=output, preconditioner=preconditioner, device=device, check_deterministic=None,
        )  # fmt: skip
        network = reading.network
        _refuse_renorming(model, network.names)
        samples = reading.samples
        if samples[1] is None:
            if forget_loss is not None:
                what = type(forget_loss).__name__
                raise ValueError(f"forget_loss must be None without a forget set, got {what}")
            if update == "alternating":
                raise ValueError(
                    "update must be 'simultaneous' without a forget set, got 'alternating'"
                )
        sizes = len(samples[0]), 0 if samples[1] is None else len(samples[1])
        plan = plan_runs(
            sizes, step_size=step_size, batch_size=batch_size, alpha=alpha, steps=steps,
            replicas=replicas, rng=rng, sampling=sampling, momentum=momentum,
            weight_decay=weight_decay, schedule=schedule, update=update, record_every=record_every,
        )  # fmt: skip
        if keep_final:
            runs = len(plan.step_size) * replicas
            refuse_beyond(
                2 * NUMBER * runs * network.n_parameters, torch.device("cpu"),
                f"keep_final: {runs} displacements of {network.n_parameters} weights",
                "pass keep_final=False",
            )  # fmt: skip
        if start is None:
            start = np.zeros((replicas, network.n_parameters))
        if start.shape[1] != network.n_parameters:
            raise ValueError(
                f"initial must have shape (replicas, n_parameters={network.n_parameters}), "
                f"got {start.shape}"
            )
        held_out, _ = read_held_out(reading, test)
        followed = None if held_out is None else reading.losses[0]
        losses = set_losses((*reading.losses, followed), (*samples, held_out))
        if held_out is None and cnn_runs.applies(reading, plan, optimiser):
            curves, final, stopped = cnn_runs.run(
                reading, losses, plan, start, until=until, keep_final=keep_final
            )
        else:
            curves, final, stopped = run_network(
                reading, losses, plan, start, optimiser, until=until, keep_final=keep_final,
                chunk_size=chunk_size, held_out=held_out,
            )  # fmt: skip
        flipped = _flipped_share(model, reading, final)
    pool = torch.cat(reading.outputs).double()
    retained, forgotten = (
        None if loss is None else loss.reference(outputs.double(), pool)
        for loss, outputs in zip(losses[:2], reading.outputs, strict=True)
    )
    assert retained is not None  # there are retain samples
    found = turns(
        curves, retained, forgotten, forget_level=forget_level, collapse_level=collapse_level
    )
    shape = plan.shape
    outside = []
    if optimiser.kind == "adamw":
        outside.append("AdamW: its second moments move, the theory's preconditioner is frozen")
    if max_norm is not None:
        outside.append("gradient clipping")
    return UnlearningRuns(
        curves.reshaped(shape),
        found.reshaped(shape),
        plan,
        final.reshape(*shape, *final.shape[1:]),
        stopped,
        flipped.reshape((*shape, replicas)),
        tuple(outside),
        tuple(dict.fromkeys((*reading.notes, *network.notes))),  # those of the runs came later
    )


def _optimiser(
    kind: str, betas: Any, epsilon: Any, max_norm: Any, momentum: Any, preconditioner: Any
) -> Optimiser:
    """Check what an optimiser is told; what another one would have been told is refused."""
    kind = _checks.choice("optimizer", kind, OPTIMIZERS)
    if kind == "sgd":
        moot: dict[str, Any] = {"betas": betas, "epsilon": epsilon}
    else:
        given = _checks.real("momentum", momentum, low=0.0, high=1.0, high_open=True)
        moot = {"momentum": given or None, "preconditioner": preconditioner}
    for name, value in moot.items():
        if value is not None:
            default = 0.0 if name == "momentum" else None
            shown = repr(value) if isinstance(value, float | tuple) else type(value).__name__
            raise ValueError(f"{name} must be {default} with optimizer={kind!r}, got {shown}")
    first, second = (
        _checks.real(f"betas[{k}]", b, low=0.0, high=1.0, high_open=True)
        for k, b in enumerate(_checks.items("betas", BETAS if betas is None else betas, 2))
    )
    return Optimiser(
        kind,
        (first, second),
        _checks.real("epsilon", EPSILON if epsilon is None else epsilon, low=0.0, low_open=True),
        None if max_norm is None else _checks.real("max_norm", max_norm, low=0.0, low_open=True),
    )


def _answering(until: Until) -> Until:
    """Give the same function, whose answer is checked."""

    def answer(*records: FloatArray) -> bool:
        found = until(*records)
        if shape := tuple(getattr(found, "shape", ())):
            raise TypeError(
                f"until must return True or False, got an array of shape {shape}; reduce it with "
                ".any() or .all()"
            )
        return _checks.flag("what until returns", found)

    return answer


def _refuse_renorming(model: nn.Module, names: Collection[str]) -> None:
    """Refuse tables whose lookups write into moving weights: a run would not be torch's."""
    owned = {id(parameter) for name, parameter in model.named_parameters() if name in names}
    for path, module in model.named_modules():
        if getattr(module, "max_norm", None) is not None and id(module.weight) in owned:
            raise ValueError(
                "model must change weights by its steps alone, got "
                f"{type(module).__name__} {path!r} (max_norm={module.max_norm:g}), whose lookups "
                "rescale them; set its max_norm to None"
            )


def _flipped_share(model: nn.Module, reading: Reading, final: FloatArray) -> FloatArray:
    """Share of masks that differ after the last step, shape (n_cells, replicas)."""
    pattern = getattr(model, "activation_pattern", None)
    if pattern is None or not final.shape[-1]:
        return np.full(final.shape[:2], np.nan)
    network = reading.network
    available = dict(model.named_parameters())
    own = [available[name] for name in network.names]
    inputs = [part.inputs for part in reading.samples if part is not None]
    shares = np.empty(final.shape[:2])
    with torch.no_grad():
        at_rest = [pattern(x) for x in inputs]
        kept = [weight.detach().clone() for weight in own]
        try:
            for place in np.ndindex(shares.shape):
                change = torch.as_tensor(final[place], dtype=network.dtype, device=network.device)
                for weight, centre, move in zip(
                    own, kept, network.unflatten(change).values(), strict=True
                ):
                    weight.copy_(centre + move)
                flips: list[Tensor] = [
                    (pattern(x) != rest).double().flatten()
                    for x, rest in zip(inputs, at_rest, strict=True)
                ]
                shares[place] = float(torch.cat(flips).mean())
        finally:
            for weight, centre in zip(own, kept, strict=True):
                weight.copy_(centre)
    return shares
