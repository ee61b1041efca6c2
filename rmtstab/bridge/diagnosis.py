"""Before the run: will it forget, collapse or do nothing, and when?"""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import nn

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab._results import FloatArray
from rmtstab.bridge.advice import Advice, advise
from rmtstab.bridge.batches import batch_sizes, epoch_length
from rmtstab.bridge.curves import majority
from rmtstab.bridge.diagnosis_words import as_record, sentences
from rmtstab.bridge.frozen import FrozenCurvature, frozen_curvature
from rmtstab.bridge.linearised import LinearisedNetwork
from rmtstab.bridge.linearising import linearise
from rmtstab.bridge.range_check import NEIGHBOURS, RangeCheck
from rmtstab.bridge.run_plan import Schedule, plan_runs
from rmtstab.bridge.runs import FunctionSpaceRun

if TYPE_CHECKING:
    import pandas
    import xarray

UNKNOWN = 2**20  # samples, before a set is read
MARGIN_OF_BUDGET = 0.1  # of the way from the start's retain loss to the loss without skill


@dataclass(frozen=True, repr=False)
class SampleShares(Record):
    """Which samples resist, and which carry the escape, in one predicted run.

    Attributes
    ----------
    step : int
        Where the run was looked at: when it forgot, else its end.
    resisting : ndarray of int
        Places in the user's own forget set (not among those drawn of it) that still have their
        answer (or at least half their skill in the loss), lowest loss first.
    carrying : ndarray of int
        Places in it that carry most of the displacement, largest share first.
    shares : ndarray, shape (n_retain + n_forget,), float64
        Share of each sample in ``‖w − w*‖² = cᵀKc``; sums to 1, may be negative.
    places : ndarray, shape (n_retain + n_forget,), int64
        Of each in the set that it is from: all of them in order, or those that
        ``max_samples`` drew.
    """

    dimensions: ClassVar = {
        "shares": ("sample",),
        "places": ("sample",),
    }

    step: int
    resisting: Any
    carrying: Any
    shares: FloatArray
    places: Any


@dataclass(frozen=True, repr=False)
class Diagnosis(Record):
    """What a run of unlearning will do, made by `diagnose`.

    Attributes
    ----------
    outcome : str
        ``"keeps"``, ``"forgets"``, ``"forgets_then_collapses"`` or ``"collapses"``, by the
        median replica.
    forget_step, collapse_step : ndarray, shape (replicas,), float64
        inf where it never happens.
    trusted_until : float
        Step to which the true network agrees with the prediction.
    robust : bool
        Whether the outcome stays when η or α moves by a third.
    neighbours : dict of str to str
        The outcomes there.
    run : FunctionSpaceRun
        Curves of shape replicas × steps.
    check : RangeCheck
    curvature : FrozenCurvature
    samples : SampleShares or None
        None without a forget set.
    advice : Advice or None
    settings, inputs : dict
        What was asked, and the network and data as they were understood.
    seconds : dict of str to float
        Where the time went.
    net : LinearisedNetwork
        For further runs, maps and checks at no further cost to the network.
    """

    drawn_by = "learning_curves"

    outcome: str
    forget_step: FloatArray
    collapse_step: FloatArray
    trusted_until: float
    robust: bool
    neighbours: dict[str, str]
    run: FunctionSpaceRun
    check: RangeCheck
    curvature: FrozenCurvature
    samples: SampleShares | None
    advice: Advice | None
    settings: dict[str, Any]
    inputs: dict[str, Any]
    seconds: dict[str, float] = field(compare=False)
    net: LinearisedNetwork

    @property
    def trusted(self) -> bool:
        """Whether the true network agrees, and the outcome stays when nudged or its kernel held."""
        return not bool(self.check.flagged)

    @property
    def steps(self) -> Any:
        """Recorded steps of the curves."""
        return self.run.steps

    def words(self) -> str:
        """The answer in sentences."""
        return "\n".join(sentences(self))

    def __str__(self) -> str:
        return self.words()

    def to_dict(self) -> dict[str, Any]:
        """Everything as strict JSON values; NaN is None, an infinity the text "Infinity"."""
        return as_record(self)

    def to_xarray(self) -> xarray.Dataset:
        """Return the predicted runs as a labelled dataset; see `FunctionSpaceRun`."""
        return self.run.to_xarray()

    def to_dataframe(self) -> pandas.DataFrame:
        """Return the predicted runs as a table, one row a replica and step."""
        return self.run.to_dataframe()

    def to_json(self, path: Any = None) -> str:
        """Return `to_dict` as strict JSON, and write it where a path is given.

        Parameters
        ----------
        path : path-like, optional
        """
        text = json.dumps(self.to_dict(), indent=1, allow_nan=False)
        if path is not None:
            _checks.path("path", path).write_text(text + "\n", encoding="utf-8")
        return text

    def to_html(self, path: Any = None) -> str:
        """Return a self-contained page with figures, and write it where a path is given.

        Parameters
        ----------
        path : path-like, optional
        """
        from rmtstab.bridge.diagnosis_page import page

        text = page(self)
        if path is not None:
            _checks.path("path", path).write_text(text, encoding="utf-8")
        return text

    def _repr_html_(self) -> str:
        return self.to_html()

    def figure(self) -> Any:
        """Predicted curves with bands, and the map over step size and mixing."""
        from rmtstab.bridge.pictures import diagnosis_figure

        return diagnosis_figure(self)


def diagnose(
    model: nn.Module,
    loss: Any,
    retain: Any,
    forget: Any,
    test: Any = None,
    *,
    step_size: float,
    batch_size: Any = None,
    alpha: float = 0.5,
    steps: int | None = None,
    rng: np.random.Generator | int = 0,
    replicas: int = 8,
    sampling: str = "without_replacement",
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    schedule: Schedule = None,
    update: str = "simultaneous",
    forget_loss: Any = None,
    parameters: Any = None,
    output: Any = None,
    preconditioner: Any = None,
    device: torch.device | str | None = None,
    max_samples: int | None = None,
    seed: int = 0,
    forget_level: float = 0.5,
    collapse_level: float = 0.8,
    tolerance: float = 0.1,
    passes: int = 1,
    retain_budget: float | None = None,
    advice: bool = True,
    memory_budget: float | None = None,
    progress: bool = False,
) -> Diagnosis:
    r"""Predict what a run of unlearning does, from two Jacobian passes over the data.

    The network is linearised and its loss kept; replicas of the run then take place in
    function space, again with the Jacobian at a point where they go. The true network is
    evaluated at a few of the predicted weights.

    Parameters
    ----------
    model : torch.nn.Module
        The trained network; read in eval mode (dropout off, running batch statistics), and
        left as it was. The answer is for a run in that mode.
    loss : callable
        ``loss(outputs, targets)`` → scalar, with torch's own reduction.
    retain, forget, test : pair of tensors, Dataset or DataLoader
        ``test`` may be None, and so may ``forget`` (then alpha must be 0).
    step_size : float
        η > 0.
    batch_size : int or (int, int), optional
        Of the retain and the forget batch; default that of the loaders, the retain loader's
        for a forget set without one, no larger than the set.
    alpha : float, default 0.5
        Mixing in [0, 1]: ``1 − α`` weighs descent on the retain batch, α ascent on the other.
    steps : int, optional
        Default one epoch of the retain set.
    rng : numpy.random.Generator or int, default 0
    replicas : int, default 8
        Predicted runs, each with batches of its own.
    sampling, momentum, weight_decay, schedule, update
        As for `LinearisedNetwork.run`.
    forget_loss, parameters, output, preconditioner, device, max_samples, seed
        As for `linearise`.
    forget_level : float, default 0.5
        Forgot: accuracy on the forget set below this share of its start.
    collapse_level : float, default 0.8
        Collapsed: the same on the retain set. For losses without accuracy see
        `rmtstab.bridge.curves.turns`.
    tolerance : float, default 0.1
        Of the range check, see `LinearisedNetwork.check`.
    passes : int, default 1
        Jacobian passes beside the first: one, at a point of the predicted run, lets the kernel
        move (`LinearisedNetwork.refine`); 0 holds it.
    retain_budget : float, optional
        Retain loss that may be reached; default a tenth of the way from the start's loss
        to that of answers dealt at random.
    advice : bool, default True
        Also search for the largest step and mixing, the smallest batch, and a window.
    memory_budget : float, optional
        As for `linearise`.
    progress : bool, default False
        Print memory and time of the plan before it starts, and show a bar.

    Returns
    -------
    Diagnosis

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or outside its range; before any pass where that
        can be known.

    See Also
    --------
    rmtstab.bridge.unlearn : the real run.

    Notes
    -----
    The network is called for its outputs, its Jacobian at the weights and at ``passes`` further
    points, and one pair of backward and forward passes for each of at most eight checked
    points; nothing is trained or run.

    References
    ----------
    Derived in docs/theory, function-space dynamics.

    Examples
    --------
    >>> import torch
    >>> from rmtstab import bridge
    >>> x = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    >>> y = torch.arange(12) % 3
    >>> answer = bridge.diagnose(torch.nn.Linear(4, 3), torch.nn.CrossEntropyLoss(),
    ...                          (x[:8], y[:8]), (x[8:], y[8:]), step_size=1e-6, batch_size=2)
    >>> answer.outcome, answer.trusted_until
    ('keeps', 4.0)
    """
    step_size = _checks.real("step_size", step_size, low=0.0, low_open=True)
    alpha = _checks.real("alpha", alpha, low=0.0, high=1.0)
    forget_level = _checks.real("forget_level", forget_level, low=0.0, high=1.0)
    collapse_level = _checks.real("collapse_level", collapse_level, low=0.0, high=1.0)
    own = batch_size is None
    if own:
        batch_size = _batches_of(retain, forget)
    tolerance = _checks.real("tolerance", tolerance, low=0.0, low_open=True)
    _checks.generator("rng", rng)
    advice = _checks.flag("advice", advice)
    passes = _checks.integer("passes", passes, low=0)
    if retain_budget is not None:
        retain_budget = _checks.real("retain_budget", retain_budget, low=0.0)
    if steps is not None:
        steps = _checks.integer("steps", steps, low=1)
    if max_samples is not None:
        max_samples = _checks.integer("max_samples", max_samples, low=1)
    known = [_length(data, max_samples) for data in (retain, forget)]
    if own:
        batch_size = _clipped(batch_size, known)
    plan_runs(  # refuse before the pass, not after
        (known[0] or UNKNOWN, known[1]), step_size=step_size, batch_size=batch_size, alpha=alpha,
        steps=1 if steps is None else steps, replicas=replicas, rng=0, sampling=sampling,
        momentum=momentum, weight_decay=weight_decay, schedule=schedule, update=update,
    )  # fmt: skip
    clock = _Clock()
    net = linearise(
        model, loss, retain, forget, test, forget_loss=forget_loss, parameters=parameters,
        output=output, preconditioner=preconditioner, device=device, max_samples=max_samples,
        seed=seed, memory_budget=memory_budget, progress=progress,
        passes=min(passes, 1),  # a run of one cell takes one
    )  # fmt: skip
    clock.lap("reading")
    sizes = net.sizes[:2]
    if own:  # a loader may give fewer samples than its dataset has
        batch_size = _clipped(batch_size, sizes)
    batches = batch_sizes(batch_size, *sizes, alpha, sampling)
    budget = _budget(net, retain_budget)
    if steps is None:
        steps = epoch_length(sizes[0], batches[0])
    settings: dict[str, Any] = {
        "step_size": step_size, "batch_size": batch_size, "alpha": alpha, "steps": steps,
        "replicas": replicas, "sampling": sampling, "momentum": momentum,
        "weight_decay": weight_decay, "schedule": schedule, "update": update,
        "forget_level": forget_level, "collapse_level": collapse_level,
    }  # fmt: skip
    run = net.run(**settings, rng=copy.deepcopy(rng))
    clock.lap("runs")
    if passes:
        if progress:
            count = "once" if passes == 1 else f"at most {passes} times"
            print(f"The Jacobian is read again, {count}.", file=sys.stderr)
        net = net.refine(run, passes=passes, replica=_median_replica(run))
        if net.space.bends:
            run = net.run(**settings, rng=rng)
        clock.lap("second Jacobian")
    check = net.check(run, replica=_median_replica(run), tolerance=tolerance)
    clock.lap("check")
    curvature = frozen_curvature(net, batches[0], sampling)
    samples = _shares(net, run) if net.n_forget else None
    clock.lap("curvature")
    found = None
    if advice:
        levels = {"forget_level": forget_level, "collapse_level": collapse_level}
        found = advise(net, run, budget, levels)
        clock.lap("advice")
    assert check.neighbours is not None
    return Diagnosis(
        outcome=str(run.outcome),
        forget_step=run.forget_step,
        collapse_step=run.collapse_step,
        trusted_until=float(check.trusted_until),
        robust=not bool(check.fragile),
        neighbours=dict(zip(NEIGHBOURS, map(str, check.neighbours), strict=True)),
        run=run,
        check=check,
        curvature=curvature,
        samples=samples,
        advice=found,
        settings={
            "step_size": float(step_size), "batch_size": list(batches), "alpha": alpha,
            "steps": int(steps), "replicas": replicas, "sampling": sampling,
            "momentum": float(momentum), "weight_decay": float(weight_decay), "update": update,
            "forget_level": forget_level, "collapse_level": collapse_level,
            "tolerance": tolerance, "passes": passes, "retain_budget": budget,
        },
        inputs=_inputs(net, model),
        seconds=clock.laps,
        net=net,
    )  # fmt: skip


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now


def _batches_of(retain: Any, forget: Any) -> tuple[int, int]:
    """Return the loaders' own batch sizes."""
    own = [getattr(data, "batch_size", None) for data in (retain, forget)]
    if own[0] is None:
        raise ValueError(
            "batch_size must be given unless the sets are DataLoaders with one, got None"
        )
    return int(own[0]), int(own[1] or own[0])


def _clipped(batches: tuple[int, int], sizes: Sequence[int]) -> tuple[int, int]:
    """Return batches no larger than their sets, as loaders give them."""
    retain, forget = (min(b, n) if n else b for b, n in zip(batches, sizes, strict=True))
    return retain, forget


def _length(data: Any, max_samples: int | None) -> int:
    """Samples of a set, as many as may be where that cannot be told without reading it."""
    if data is None:
        return 0
    sized = getattr(data, "dataset", data)
    if isinstance(data, tuple | list) and len(data) == 2 and hasattr(data[1], "__len__"):
        n = len(data[1])
    elif isinstance(sized, torch.utils.data.Dataset) and hasattr(sized, "__len__"):
        n = len(sized)
    else:
        n = UNKNOWN
    return n if max_samples is None else min(n, max_samples)


def _budget(net: LinearisedNetwork, retain_budget: float | None) -> float:
    start = net.references[0]
    assert start is not None
    if retain_budget is None:
        return start.loss + MARGIN_OF_BUDGET * max(start.chance - start.loss, start.loss)
    return _checks.real(
        "retain_budget", retain_budget, low=start.loss, low_label="the retain loss at the start"
    )


def _median_replica(run: FunctionSpaceRun) -> int:
    """Return a replica that turns when the median does."""
    by_time = np.lexsort((run.forget_step, run.collapse_step))
    return int(by_time[len(by_time) // 2])


def _shares(net: LinearisedNetwork, run: FunctionSpaceRun) -> SampleShares:
    replica = _median_replica(run)
    forgot = float(majority(run.forget_step))
    step = int(forgot) if np.isfinite(forgot) else run.plan.steps
    kept = net.coefficients(run, np.array([[step]]), replica=replica)
    c = kept.values[0, 0]
    moved = kept.moved[0, 0, : c.size]
    with np.errstate(over="ignore", invalid="ignore"):  # a run may have left the range of floats
        parts = (c.ravel() * moved).reshape(c.shape).sum(axis=1)
        total = float(parts.sum())
    shares = parts / total if 0.0 < total < np.inf else np.zeros(len(parts))
    at = slice(net.n_retain, net.n_retain + net.n_forget)
    outputs = net.outputs[: len(c)] - moved.reshape(c.shape)
    loss = net.space.losses[1]
    assert loss is not None
    each, right = loss.each(torch.as_tensor(outputs[at]))
    holding = np.flatnonzero(right.numpy() >= 0.5)
    own = shares[at]
    order = np.argsort(-own)
    enough = int(np.searchsorted(np.cumsum(own[order]), 0.5 * own.sum())) + bool(own.any())
    holding = holding[np.argsort(each.numpy()[holding])]
    places = np.concatenate([part.indices.numpy() for part in net.samples[:2] if part is not None])
    return SampleShares(step, places[at][holding], places[at][order[:enough]], shares, places)


def _inputs(net: LinearisedNetwork, model: nn.Module) -> dict[str, Any]:
    network = net.network
    assert network is not None
    total = sum(p.numel() for p in model.parameters())
    retain, forget = net.references[:2]
    residual = []
    for loss, part, outputs, _ in net.trained():
        residual.append(float(loss.gradients(outputs, part.targets).abs().max()))
    return {
        "model": type(model).__name__,
        "parameters": network.n_parameters,
        "parameters_in_all": total,
        "tensors": list(network.names),
        "dtype": str(network.model_dtype),
        "device": str(network.device),
        "mode": "eval",
        "losses": [None if loss is None else loss.name for loss in net.losses[:2]],
        "n_retain": net.n_retain,
        "n_forget": net.n_forget,
        "n_test": net.sizes[2],
        "outputs": net.n_outputs,
        "gram_bytes": net.space.gram.numel() * 8,
        "retain_loss": None if retain is None else retain.loss,
        "retain_accuracy": None if retain is None else retain.accuracy,
        "forget_loss": None if forget is None else forget.loss,
        "forget_accuracy": None if forget is None else forget.accuracy,
        "largest_output_gradient": residual,
        "notes": list(net.notes),
    }
