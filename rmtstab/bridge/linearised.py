"""A linearised network: one pass over the data, then whole grids of runs without the network."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.bridge import function_space
from rmtstab.bridge.curves import Curves, Reference, Turns, turns
from rmtstab.bridge.fingerprint import digest, unchanged
from rmtstab.bridge.frozen_problem import frozen_problem
from rmtstab.bridge.function_space import Coefficients, FunctionSpace
from rmtstab.bridge.jacobian_products import pullback
from rmtstab.bridge.network import Network
from rmtstab.bridge.network_file import Moving, save
from rmtstab.bridge.range_check import RangeCheck, check_range
from rmtstab.bridge.refinement import bends_of
from rmtstab.bridge.run_plan import Schedule, plan_runs
from rmtstab.bridge.runs import FunctionSpaceRun, plan_of
from rmtstab.bridge.sample_loss import SampleLoss
from rmtstab.bridge.samples import Samples
from rmtstab.bridge.space_reading import evaluating, joined, read_space
from rmtstab.unlearning.problem import UnlearningProblem

if TYPE_CHECKING:
    from rmtstab.bridge.outcome_map import OutcomeMap


class LinearisedNetwork:
    r"""Outputs, Jacobian Gram and targets of a network at its weights; made by `linearise`.

    The network is linearised, ``f(w) ≈ f* + J(w − w*)``; the loss is not. Every step of a
    run then needs the Gram ``K = J P Jᵀ`` alone.

    Attributes
    ----------
    space : FunctionSpace
        Outputs, Gram and losses.
    samples : tuple of Samples or None
        Retain, forget and test set.
    losses : tuple of SampleLoss or None
    references : tuple of Reference or None
        Each set at the weights: loss, loss without skill, accuracy.
    output_shape : tuple of int
        Of one sample's output, as the loss takes it.
    network : Network or None
        None after `load` without a model; then nothing can be checked.
    fingerprint : str
        Of the weights and buffers.
    notes : tuple of str
    moving : Moving
        Weights that move, kept for `save`.
    """

    def __init__(
        self,
        space: FunctionSpace,
        samples: tuple[Samples | None, ...],
        losses: tuple[SampleLoss | None, ...],
        *,
        network: Network | None,
        output_shape: tuple[int, ...],
        fingerprint: str,
        notes: tuple[str, ...] = (),
        references: tuple[Reference | None, ...] | None = None,
        moving: Moving | None = None,
    ) -> None:
        self.space, self.samples, self.losses = space, samples, losses
        self.network, self.fingerprint, self.notes = network, fingerprint, notes
        self.output_shape = output_shape
        self.moving = moving if network is None else Moving.of(network)
        self._origin: str | None = None
        self.references = self._references() if references is None else references

    @property
    def n_retain(self) -> int:
        """Samples of the retain set."""
        return self.sizes[0]

    @property
    def n_forget(self) -> int:
        """Samples of the forget set."""
        return self.sizes[1]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Samples of the retain, forget and test set."""
        r, f, t = (0 if part is None else len(part) for part in self.samples)
        return r, f, t

    @property
    def n_outputs(self) -> int:
        """Outputs of a sample, C."""
        return int(self.space.outputs.shape[1])

    @property
    def outputs(self) -> FloatArray:
        """Outputs f* of all samples, shape (N, C): retain, forget, test."""
        return self.space.outputs.cpu().numpy()

    @property
    def gram(self) -> FloatArray:
        """``J P Jᵀ`` of the retain and forget samples, shape (nC, nC)."""
        side = sum(self.sizes[:2]) * self.n_outputs
        return self.space.gram.reshape(side, -1)[:, :side].cpu().numpy()

    def __copy__(self) -> LinearisedNetwork:
        """Shallow copy, with an origin of its own once something in it is replaced."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, _origin=None)
        return other

    @property
    def origin(self) -> str:
        """Digest of outputs, Gram and losses: runs of another linearisation are told by it."""
        if self._origin is None:
            self._origin = digest(self.space)
        return self._origin

    def __repr__(self) -> str:
        r, f, t = self.sizes
        return (
            f"LinearisedNetwork(n_retain={r}, n_forget={f}, n_test={t}, outputs={self.n_outputs})"
        )

    def problem(self) -> UnlearningProblem:
        r"""Return the unlearning problem of the frozen curvature, with per-sample gradients.

        ``H_i = n ω_i J_iᵀ ∇²ℓ_i J_i`` and ``g_i = n ω_i J_iᵀ ∇ℓ_i`` at the weights.

        Returns
        -------
        UnlearningProblem

        Raises
        ------
        ValueError
            If a loss is not convex in the outputs: function space needs no convexity, this does.
        """
        return frozen_problem(self.gram, self.trained(), self.n_retain)

    def run(
        self,
        step_size: Any,
        batch_size: Any,
        alpha: Any,
        steps: int,
        *,
        replicas: int = 8,
        rng: np.random.Generator | int,
        sampling: str = "without_replacement",
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        schedule: Schedule = None,
        update: str = "simultaneous",
        record_every: int = 1,
        forget_level: float = 0.5,
        collapse_level: float = 0.8,
        memory_budget: float = 2e9,
        precision: str = "double",
    ) -> FunctionSpaceRun:
        r"""Run a grid of cells in function space.

        ``f ← f − ηK(ω ∘ ∇ℓ(f))`` with ``ω`` the batch weights, ``1 − α`` of the retain
        batch's and ``−α`` of the forget batch's; with momentum and weight decay as in
        `torch.optim.SGD`, decay outside the preconditioner.

        Parameters
        ----------
        step_size : float or array_like
            η > 0; broadcasts with ``alpha`` to the cells.
        batch_size : int or (int, int)
            Of the retain and the forget batch.
        alpha : float or array_like
            Mixing in [0, 1].
        steps : int
        replicas : int, default 8
            Runs a cell. A replica has the same batches in every cell.
        rng : numpy.random.Generator or int
            The same seed gives the same batches to `rmtstab.bridge.unlearn`.
        sampling : str, default "without_replacement"
            Or ``"with_replacement"``, ``"bernoulli"`` (batch loss over B, not over the
            realised count), ``"shuffled"``: epochs, a set reshuffled when exhausted, its
            last partial batch dropped.
        momentum : float, default 0.0
            β in [0, 1).
        weight_decay : float, default 0.0
            λ ≥ 0.
        schedule : array_like, shape (steps,), or callable, optional
            Factor of the step size at each step.
        update : {"simultaneous", "alternating"}, default "simultaneous"
            Alternating: an epoch of ascent on the forget set, then one of descent on the
            retain set, and so on.
        record_every : int, default 1
            Steps between records; the start and the end are always recorded.
        forget_level, collapse_level : float, default 0.5 and 0.8
            See `rmtstab.bridge.curves.turns`.
        memory_budget : float, default 2e9
            Bytes for the state of the cells that run together.
        precision : {"double", "single"}
            Of the products with the Gram matrix; the state stays in double. A network in
            float32 is itself run in single. At some two thirds of the time.

        Returns
        -------
        FunctionSpaceRun

        Raises
        ------
        TypeError, ValueError
            If a parameter is of the wrong kind or outside its range.

        Notes
        -----
        Exact where the network is linear in its weights. The cost of a step is that of the
        products of the drawn rows of K, ``(B_r + B_f)C × NC``, whatever the number of weights.

        References
        ----------
        Derived in docs/theory, function-space dynamics.

        Examples
        --------
        >>> import torch
        >>> from rmtstab import bridge
        >>> x = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
        >>> y = torch.arange(12) % 3
        >>> net = bridge.linearise(torch.nn.Linear(4, 3), torch.nn.CrossEntropyLoss(),
        ...                        (x[:8], y[:8]), (x[8:], y[8:]))
        >>> run = net.run([0.1, 1.0], 2, [[0.2], [0.8]], steps=20, rng=0)
        >>> run.retain_loss.shape
        (2, 2, 8, 21)
        """
        plan = plan_runs(
            self.sizes[:2], step_size=step_size, batch_size=batch_size, alpha=alpha, steps=steps,
            replicas=replicas, rng=rng, sampling=sampling, momentum=momentum,
            weight_decay=weight_decay, schedule=schedule, update=update, record_every=record_every,
            precision=precision,
        )  # fmt: skip
        budget = _checks.real("memory_budget", memory_budget, low=0.0, low_open=True)
        curves, _ = function_space.run(self.space, plan, memory_budget=budget)
        curves = curves.reshaped(plan.shape)
        found = self.turns(curves, forget_level=forget_level, collapse_level=collapse_level)
        return FunctionSpaceRun(curves, found, plan, self.origin)

    def turns(self, curves: Curves, **levels: float) -> Turns:
        """Read off when runs, in function space or real, forgot and collapsed.

        Parameters
        ----------
        curves : Curves
        **levels : float
            ``forget_level`` and ``collapse_level``.
        """
        retain, forget = self.references[:2]
        assert retain is not None  # a linearised network has retain samples
        return turns(curves, retain, forget, **levels)

    def coefficients(
        self, run: FunctionSpaceRun, steps: NDArray[np.int64], *, replica: int = 0
    ) -> Coefficients:
        """Repeat one replica of a run and keep where it is in weight space.

        Parameters
        ----------
        run : FunctionSpaceRun
        steps : ndarray, shape (n_cells, n_steps), int64
            Steps to keep of each cell.
        replica : int, default 0

        Returns
        -------
        Coefficients
        """
        plan = plan_of(run, self.origin)
        replica = _checks.integer("replica", replica, low=0, high=plan.replicas - 1)
        steps = plan.snapshots(steps)
        quiet = replace(plan, recorded=np.zeros(1, dtype=np.int64))
        _, kept = function_space.run(self.space, quiet, snapshots=steps, replica=replica)
        assert kept is not None
        return kept

    def predicted_outputs(
        self, run: FunctionSpaceRun, cell: int | tuple[int, ...], step: int, *, replica: int = 0
    ) -> tuple[FloatArray, FloatArray | None, FloatArray | None]:
        """Outputs that a run predicts at one step, without the network.

        What measures of forgetting ask for: losses of members and of others, the distance to
        a retrained network.

        Parameters
        ----------
        run : FunctionSpaceRun
            Of this network.
        cell : int or tuple of int
            Index of the cell; ``()`` for a run of one.
        step : int
        replica : int, default 0

        Returns
        -------
        tuple of ndarray, shape (n, C), float64
            Of the retain, forget and test set; None for a set that is not there. Outputs of
            several axes are flat: reshape them to ``(n, *net.output_shape)``.

        Raises
        ------
        ValueError
            If the run is another network's, or cell or step lie outside it.

        See Also
        --------
        rmtstab.bridge.retraining_distance, rmtstab.bridge.loss_threshold_attack

        Examples
        --------
        >>> import torch
        >>> from rmtstab import bridge
        >>> x, y = torch.eye(6), torch.arange(6) % 2
        >>> net = bridge.linearise(torch.nn.Linear(6, 2), torch.nn.CrossEntropyLoss(),
        ...                        (x[:4], y[:4]), (x[4:], y[4:]))
        >>> run = net.run(0.1, 2, 0.5, steps=8, rng=0)
        >>> retain, forget, test = net.predicted_outputs(run, (), 8)
        >>> retain.shape, forget.shape, test is None
        ((4, 2), (2, 2), True)
        """
        kept = self._at(run, cell, step, replica)
        found = {
            name: outputs[0, 0].cpu().numpy()
            for name, outputs, _ in function_space.outputs_at(self.space, kept)
        }
        return found["retain"], found.get("forget"), found.get("test")

    def weights(self, values: FloatArray, scale: float = 1.0) -> dict[str, Tensor]:
        """Weights ``scale·w* − P Jᵀ values`` of coefficients (n, C), in the network's precision.

        Infinite or NaN where these are, or are too large for it: of runs that have diverged.

        Parameters
        ----------
        values : array_like
            Coefficients c.
        scale : float
            Of the trained weights.
        """
        network = self._live_network()
        values = _checks.array("values", values, ndim=2, finite=False)  # runs may have diverged
        scale = float(_checks.array("scale", scale, ndim=0, finite=False))
        drawn = self._drawn()
        if values.shape != (len(drawn), self.n_outputs):
            raise ValueError(
                f"values must have shape (n={len(drawn)}, C={self.n_outputs}), got {values.shape}"
            )
        with evaluating(network.model):
            move = pullback(network, drawn, torch.as_tensor(values, device=network.device))
        scaled = network.preconditioner
        return {
            name: scale * weight
            - (move[name] if scaled is None else scaled[name] * move[name]).to(weight)
            for name, weight in network.weights.items()
        }

    def check(
        self,
        run: FunctionSpaceRun,
        *,
        replica: int = 0,
        points: int = 6,
        tolerance: float = 0.1,
        margin: bool = True,
    ) -> RangeCheck:
        """Evaluate the true network at the predicted weights, and move each cell by a third.

        Parameters
        ----------
        run : FunctionSpaceRun
            Of this network.
        replica : int, default 0
            The replica that is checked.
        points : int, default 6
            Evenly spaced steps to check; the steps at which the replica turns come too.
        tolerance : float, default 0.1
            Largest difference of skill (accuracy over the start's, or its counterpart in
            the loss, see `rmtstab.bridge.curves.turns`) that counts as agreement.
        margin : bool, default True
            Also ask whether the outcome changes when η or α moves by a third.

        Returns
        -------
        RangeCheck

        Raises
        ------
        ValueError
            If the model was changed since, or there is none.
        """
        self._live_network()
        plan_of(run, self.origin)
        return check_range(
            self, run, replica=replica, points=points, tolerance=tolerance, margin=margin
        )

    def refine(
        self, run: FunctionSpaceRun, *, passes: int = 3, replica: int = 0
    ) -> LinearisedNetwork:
        r"""Read the Jacobian again where the run goes, and let the kernel move between.

        ``K(w) = K + s (K_k − K)``, ``s = ⟨δ, δ_k⟩/‖δ_k‖²`` within [0, 2], with δ = w − w* and
        k the second point nearest to δ in angle. Runs, checks and maps of what is returned
        use it; its check also flags where the collapse verdict depends on it.

        Parameters
        ----------
        run : FunctionSpaceRun
            Of this network.
        passes : int, default 3
            Jacobian passes that may be spent, each at the cost of `linearise`. Fewer are where
            fewer points speak for all cells: a run of one cell takes one.
        replica : int, default 0
            The replica whose path is followed.

        Returns
        -------
        LinearisedNetwork

        Notes
        -----
        Exact for a kernel that is linear along the way, so wrong where it turns: a point is
        taken a quarter of the way to collapse, and says little of what comes after. Each point
        holds a Gram matrix more and adds a product to every step. ``displacement`` is that of
        the moving kernel, ``√(cᵀ(f* − f))``, and parts from ``‖w − w*‖`` of `weights`.

        Examples
        --------
        >>> import torch
        >>> from rmtstab import bridge
        >>> x = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
        >>> y = torch.arange(12) % 3
        >>> net = bridge.linearise(torch.nn.Linear(4, 3), torch.nn.CrossEntropyLoss(),
        ...                        (x[:8], y[:8]), (x[8:], y[8:]))
        >>> run = net.run(0.1, 2, 0.5, steps=8, rng=0)
        >>> again = net.refine(run).run(0.1, 2, 0.5, steps=8, rng=0)  # linear: its kernel stays
        >>> bool(abs(again.retain_loss - run.retain_loss).max() < 1e-6)
        True
        """
        self._live_network()
        plan_of(run, self.origin)
        bends = bends_of(self, run, passes, replica)
        found = copy.copy(self)
        found.space = replace(self.space, bends=bends)
        if bends:
            points = "1 predicted point" if len(bends) == 1 else f"{len(bends)} predicted points"
            found.notes = (*self.notes, f"Jacobian read again at {points}")
        return found

    def relinearise(
        self, run: FunctionSpaceRun, cell: int | tuple[int, ...], step: int, *, replica: int = 0
    ) -> LinearisedNetwork:
        """Linearise again at the weights that a run predicts, to go on from there.

        Parameters
        ----------
        run : FunctionSpaceRun
            Of this network.
        cell : int or tuple of int
            Index of the cell; ``()`` for a run of one.
        step : int
            At which to stop; velocities of momentum are not carried over.
        replica : int, default 0

        Returns
        -------
        LinearisedNetwork
            Forgetting and collapse are still judged against this network's start.
        """
        network = self._live_network()
        kept = self._at(run, cell, step, replica)
        moved = copy.copy(network)
        moved.weights = self.weights(kept.values[0, 0], float(kept.scale[0, 0]))
        with evaluating(network.model):
            space = read_space(moved, self.samples, self.losses)
        return LinearisedNetwork(
            space, self.samples, self.losses, network=moved, output_shape=self.output_shape,
            fingerprint=self.fingerprint, references=self.references,
            notes=(*self.notes, f"linearised again at step {step}"),
        )  # fmt: skip

    def map(
        self,
        step_sizes: Any,
        alphas: Any,
        batch_sizes: Any,
        steps: int,
        *,
        replicas: int = 8,
        rng: np.random.Generator | int,
        **options: Any,
    ) -> OutcomeMap:
        """Map the outcome, and when it comes, over two of step size, mixing and batch size.

        Parameters
        ----------
        step_sizes, alphas : float or array_like, one axis
        batch_sizes : int, pair, or list of those
            One of the three holds a single value.
        steps : int
        replicas : int, default 8
        rng : numpy.random.Generator or int
        **options
            Further options of `run`.

        Returns
        -------
        OutcomeMap

        Examples
        --------
        >>> import torch
        >>> from rmtstab import bridge
        >>> x, y = torch.eye(6), torch.arange(6) % 2
        >>> net = bridge.linearise(torch.nn.Linear(6, 2), torch.nn.CrossEntropyLoss(),
        ...                        (x[:4], y[:4]), (x[4:], y[4:]))
        >>> net.map([0.1, 1.0], [0.0, 0.5], 2, steps=4, rng=0).outcome.shape
        (2, 2)
        """
        from rmtstab.bridge.outcome_map import outcome_map

        return outcome_map(
            self, step_sizes, alphas, batch_sizes, steps, replicas=replicas, rng=rng, **options
        )

    def observe(self, weights: dict[str, Tensor]) -> list[tuple[float, float]]:
        """Loss and accuracy of the true network at some weights, of the retain and forget set.

        Parameters
        ----------
        weights : dict of str to Tensor
            Of the parameters that move.
        """
        network = self._live_network()
        found = []
        with evaluating(network.model):
            for part, loss in zip(self.samples[:2], self.space.losses, strict=False):
                if part is not None and loss is not None:
                    outputs = network.outputs(part, weights).double()
                    found.append((float(loss.values(outputs)), float(loss.accuracy(outputs))))
        return found

    def save(self, path: Any) -> None:
        """Write arrays and a JSON header to an ``.npz`` file, without pickle; see `load`.

        Parameters
        ----------
        path : path-like
        """
        save(self, _checks.path("path", path))

    def trained(self) -> Iterator[tuple[SampleLoss, Samples, Tensor, Tensor]]:
        """Loss, samples, outputs and weights ``n ω_i`` of the retain and the forget set."""
        start = 0
        for loss, part in zip(self.losses[:2], self.samples[:2], strict=True):
            if loss is not None and part is not None:
                weights = loss.batch_weights(loss.masses(part.targets))
                weights = weights * len(part) if loss.normalised else weights
                yield loss, part, self.space.outputs[start : start + len(part)], weights
                start += len(part)

    def _references(self) -> tuple[Reference | None, ...]:
        pool = self.space.outputs[: sum(self.sizes[:2])]  # a test set changes no verdict
        return tuple(
            None if loss is None else loss.reference(outputs, pool)
            for loss, outputs in self.space.parts()
        )

    def _at(self, run: Any, cell: Any, step: Any, replica: int) -> Coefficients:
        """Coefficients of one cell at one step, shape (1, 1, n, C)."""
        plan = plan_of(run, self.origin)
        step = _checks.integer("step", step, low=0, high=plan.steps)
        one = replace(run, plan=plan.only(cell))
        return self.coefficients(one, np.array([[step]]), replica=replica)

    def _live_network(self) -> Network:
        return unchanged(self.network, self.fingerprint)

    def _drawn(self) -> Samples:
        return joined([part for part in self.samples[:2] if part is not None])
