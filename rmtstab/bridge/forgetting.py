"""Has it been forgotten? Distance to retraining in function space, and membership inference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import rel_entr, softmax

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab._results import FloatArray

ROUNDED_TO_ZERO = 745.0  # −log of the smallest double: no confidence above 0 has a greater loss
LEVEL = 0.95  # of intervals


@dataclass(frozen=True)
class FunctionDistance(Record):
    """How far two networks' answers are apart, sample by sample and on average.

    Weights are not compared: permuted filters give the same function.

    Attributes
    ----------
    disagreement : float
        Share of samples whose largest output differs (of one output: its sign).
    total_variation : float
        Mean of ``½ Σ_c |p_c − q_c|`` of softmax probabilities (logistic for one output).
    output_distance : float
        ``‖f − g‖ / ‖g‖`` of all outputs; 0 of two alike, also where both vanish.
    """

    disagreement: float
    total_variation: float
    output_distance: float


def retraining_distance(outputs: Any, retrained: Any, *, class_axis: int = 1) -> FunctionDistance:
    """Compare a network with one retrained without the forget set, in function space.

    Parameters
    ----------
    outputs, retrained : array_like, shape (n, C), (n, C, T, …) or (n,)
        Outputs (logits) of the two on the same samples; those of a prediction will do. Of
        outputs with further axes, such as tokens, each position counts as a sample.
    class_axis : int, default 1
        Which axis holds the C classes, as in `torch.nn.CrossEntropyLoss`; −1 of a model that
        gives ``(n, T, C)``. Outputs with one axis take the default.

    Returns
    -------
    FunctionDistance

    Raises
    ------
    ValueError
        If shapes differ, numbers are not finite, or the class axis is the samples' or none.

    Notes
    -----
    The classes of a sample with one axis of outputs share a softmax. Predictions
    (`LinearisedNetwork.predicted_outputs`) are flat, ``(n, C·T)``: give them the model's own
    shape first, ``outputs.reshape(n, C, T)``, or ``(n, T, C)`` with ``class_axis=-1``. T
    independent logits are ``(n, 1, T)``. Padding is left out by choosing the positions that
    count, ``outputs.transpose(0, 2, 1)[mask]``, which have shape (positions, C).

    Examples
    --------
    >>> from rmtstab.bridge import retraining_distance
    >>> retraining_distance([[2.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [1.0, 0.0]]).disagreement
    0.5
    """
    f, g = _read("outputs", outputs)[0], _read("retrained", retrained)[0]
    if not f.ndim:
        raise ValueError("outputs must have an axis of samples, got shape ()")
    if not f.size:
        raise ValueError(f"outputs must hold at least one sample, got shape {f.shape}")
    for name, x in (("outputs", f), ("retrained", g)):
        _checks.moderate(name, x)
    if f.shape != g.shape:
        raise ValueError(f"retrained must have the outputs' shape {f.shape}, got {g.shape}")
    axes = max(f.ndim - 1, 1)
    axis = _checks.integer("class_axis", class_axis, low=-axes, high=axes)
    if axis == 0:
        raise ValueError("class_axis must be an axis beside the samples', got 0")
    if f.ndim == 1:
        f, g = f[:, None], g[:, None]
    classes = f.shape[axis]
    f, g = (np.moveaxis(x, axis, -1).reshape(-1, classes) for x in (f, g))
    if f.shape[1] == 1:  # one logit: the two classes' logits are 0 and f
        both = [np.column_stack([np.zeros(len(x)), x[:, 0]]) for x in (f, g)]
    else:
        both = [f, g]
    labels = [x.argmax(axis=1) for x in both]
    p, q = (softmax(x, axis=1) for x in both)
    gap, size = float(np.linalg.norm(f - g)), float(np.linalg.norm(g))
    return FunctionDistance(
        float(np.mean(labels[0] != labels[1])),
        float(0.5 * np.abs(p - q).sum(axis=1).mean()),
        gap / size if size > 0 else math.inf if gap > 0 else 0.0,
    )


@dataclass(frozen=True)
class MembershipAttack(Record):
    """How well members are told from samples that were not trained on.

    Attributes
    ----------
    auc : float
        Probability that a member scores above a non-member; ½ is no knowledge.
    interval : tuple of float
        Where ``auc`` would lie with samples without end: 95 % or more, at any number of samples
        and of whatever distribution, if they are independent. Of another training run it says
        nothing.
    standard_error : float
        Of ``auc``, by Hanley and McNeil's formula. NaN where that would be 0 whatever is true,
        when the samples part completely, and with one sample on a side: see ``interval``.
    balanced_accuracy : float
        At the best threshold, chosen on these samples: optimistic.
    true_positive_rate : float
        At a false positive rate of at most ``false_positive_rate``.
    false_positive_rate : float
    """

    auc: float
    interval: tuple[float, float]
    standard_error: float
    balanced_accuracy: float
    true_positive_rate: float
    false_positive_rate: float


def loss_threshold_attack(
    member_losses: Any, other_losses: Any, *, false_positive_rate: float = 0.05
) -> MembershipAttack:
    """Call members the samples with the smallest losses.

    Parameters
    ----------
    member_losses, other_losses : array_like, one axis
        Losses of samples that were trained on (of the forget set, say) and of others of the
        same kind that were not. Any loss: only their order counts, infinite ones too.
    false_positive_rate : float, default 0.05

    Returns
    -------
    MembershipAttack

    Raises
    ------
    ValueError
        If one of the two is empty or holds NaN.

    Notes
    -----
    The interval is Hoeffding's: an AUC of m members and n others is the mean over all matchings
    of the averages of k = min(m, n) independent pairs, so that those true values θ remain for
    which ``k·KL(auc ‖ θ) ≤ log 40``, KL the divergence of two coins. It is exact where the
    samples part completely (θ ≥ 40^(−1/k): .025 of one sample, .48 of five, .83 of twenty) and
    wide elsewhere: by ½ and with m = n 1.7 times 1.96 standard errors.

    References
    ----------
    Yeom et al., arXiv:1709.01604, Adversary 2; the standard error: Hanley and McNeil,
    Radiology 143, 29 (1982); the interval: Hoeffding, J. Amer. Statist. Assoc. 58, 13 (1963),
    Theorem 1 and Section 5.

    Examples
    --------
    >>> from rmtstab.bridge import loss_threshold_attack
    >>> found = loss_threshold_attack([0.1, 0.2, 0.9], [0.5, 1.0, 2.0])
    >>> round(found.auc, 3), round(found.interval[0], 3), round(found.standard_error, 3)
    (0.889, 0.173, 0.153)
    """
    return _attack(
        -_losses("member_losses", member_losses)[0],
        -_losses("other_losses", other_losses)[0],
        false_positive_rate,
    )


def shadow_model_attack(
    losses: Any, shadow_losses: Any, trained_on: Any, members: Any, *,
    false_positive_rate: float = 0.05,
) -> MembershipAttack:  # fmt: skip
    r"""Likelihood-ratio attack with shadow models: each sample against its own two histories.

    The logit of the confidence, ``φ = log(p/(1 − p))`` with ``p = exp(−loss)``, of each sample
    is normal among shadow models that were trained on it, and among those that were not; the
    score is the log ratio of the two densities at the attacked model's φ.

    Parameters
    ----------
    losses : array_like, shape (n,)
        Cross-entropy of each sample under the attacked model, in the precision that it was
        computed in. Infinite: a confidence that was rounded to 0.
    shadow_losses : array_like, shape (n_shadows, n)
        The same under each shadow model, finite: one infinite loss makes the spread of all.
    trained_on : array_like of bool, shape (n_shadows, n)
        Which samples each shadow model was trained on; every sample in and out at least twice.
    members : array_like of bool, shape (n,)
        Which samples the attacked model was trained on.
    false_positive_rate : float, default 0.05

    Returns
    -------
    MembershipAttack

    Raises
    ------
    ValueError
        If shapes do not fit, a sample is in or out of fewer than two shadow models, a loss is
        negative (a confidence above 1: no cross-entropy; `loss_threshold_attack` takes any
        loss) or NaN, or one of ``shadow_losses`` is infinite.

    Notes
    -----
    The two variances are pooled over the samples, which a handful of shadow models needs.

    A loss of 0 is a confidence rounded to 1. It counts as half the spacing of the numbers at 1
    in the dtype that it came in (float32: 2⁻²⁴, φ = 16.6), or as the smallest other loss of its
    array where that is below; smaller losses count the same, and the coarser array's number
    holds for both. Losses in double precision that float32 holds exactly, one and all, are taken
    for float32's; those of a half precision are to be given in it. An infinite loss counts as
    745, or as the largest loss given.

    ``interval`` takes the samples' scores for independent; they share the two variances.

    References
    ----------
    Carlini et al., arXiv:2112.03570, Algorithm 1 with a global variance (Section VI.C).

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.bridge import shadow_model_attack
    >>> rng = np.random.default_rng(0)
    >>> seen = rng.permuted(np.tile([True, False], (16, 20)), axis=1)
    >>> shadows = np.exp(rng.standard_normal(seen.shape) - 2.0 * seen)
    >>> truth = np.arange(40) < 20
    >>> attack = shadow_model_attack(np.exp(-2.0 * truth), shadows, seen, truth)
    >>> attack.auc
    1.0
    """
    target, floor = _cross_entropies("losses", losses, 1)
    shadows, level = _cross_entropies("shadow_losses", shadow_losses, 2)
    inside, truth = _checks.truths("trained_on", trained_on), _checks.truths("members", members)
    if shadows.shape[1:] != target.shape or inside.shape != shadows.shape:
        raise ValueError(
            f"shadow_losses and trained_on must have shape (n_shadows, n={len(target)}), "
            f"got {shadows.shape} and {inside.shape}"
        )
    if truth.shape != target.shape:
        raise ValueError(f"members must have shape ({len(target)},), got {truth.shape}")
    if truth.all() or not truth.any():
        raise ValueError("members must hold members and others, got one kind alone")
    counts = inside.sum(axis=0)
    few = np.minimum(counts, len(inside) - counts) < 2
    if few.any():
        raise ValueError(
            "trained_on must have each sample in and out of at least two shadow models, got "
            f"{int(few.sum())} samples with fewer"
        )
    if np.isinf(shadows).any():
        raise ValueError(
            f"shadow_losses must be finite, got inf, {_places(np.isinf(shadows))}: take them "
            "of the logits (torch.nn.functional.cross_entropy), not of rounded probabilities, or "
            "leave out shadow models that diverged"
        )
    largest = target.max(where=np.isfinite(target), initial=shadows.max())
    target = np.minimum(target, max(ROUNDED_TO_ZERO, largest))
    phi, own = (_confidence(np.maximum(x, max(floor, level))) for x in (shadows, target))
    scores = np.zeros(len(target))
    for sign, chosen in ((1.0, inside), (-1.0, ~inside)):
        n = chosen.sum(axis=0)
        mean = np.where(chosen, phi, 0.0).sum(axis=0) / n
        spread = np.where(chosen, phi - mean, 0.0)
        deviation = np.sqrt((spread**2).sum() / (n - 1).sum())
        deviation = max(float(deviation), 1e-12)
        scores += sign * (-0.5 * ((own - mean) / deviation) ** 2 - np.log(deviation))
    return _attack(scores[truth], scores[~truth], false_positive_rate)


def _read(
    name: str, values: Any, ndim: int | None = None, finite: bool = True
) -> tuple[FloatArray, float]:
    """Return an array in double precision, and half the spacing at 1 of the dtype it came in."""
    spacing = float(np.finfo(np.float64).eps)
    if isinstance(values, torch.Tensor) and values.is_floating_point():
        spacing = max(spacing, torch.finfo(values.dtype).eps)
        values = values.detach().cpu().double()  # NumPy knows no bfloat16
    result = _checks.array(name, values, ndim=ndim, finite=finite)
    given = result.dtype if hasattr(values, "detach") else np.asarray(values).dtype
    if given.kind == "f":
        spacing = max(spacing, float(np.finfo(given).eps))
    return result, 0.5 * spacing


def _losses(name: str, values: Any, ndim: int = 1) -> tuple[FloatArray, float]:
    losses, spacing = _read(name, values, ndim, finite=False)
    if not losses.size:
        raise ValueError(f"{name} must hold at least one loss, got shape {losses.shape}")
    bad = np.isnan(losses)
    if bad.any():
        raise ValueError(f"{name} must hold no NaN, got {_places(bad)}")
    return losses, spacing


def _cross_entropies(name: str, values: Any, ndim: int) -> tuple[FloatArray, float]:
    """Return losses ≥ 0, and what a loss of 0 counts as: 0 where there is none."""
    losses, spacing = _losses(name, values, ndim)
    below = losses < 0.0
    if below.any():
        raise ValueError(
            f"{name} must be cross-entropies, −log of a confidence of at most 1, so none below 0, "
            f"got {losses[below][0]:g}, {_places(below)}: clip at 0 what rounding made, and give "
            "other losses to loss_threshold_attack"
        )
    _checks.moderate(name, losses[np.isfinite(losses)])
    some = losses[losses > 0.0]
    if len(some) == losses.size:
        return losses, 0.0
    with np.errstate(over="ignore", under="ignore"):
        if (losses.astype(np.float32) == losses).all():  # converted, or put into a larger array
            spacing = max(spacing, 0.5 * float(np.finfo(np.float32).eps))
    return losses, float(some.min(initial=spacing))


def _places(bad: NDArray[np.bool_]) -> str:
    """How many of all are bad, and where the first is."""
    first = ", ".join(str(k) for k in np.argwhere(bad)[0])
    return f"{int(bad.sum())} of {bad.size}, the first at [{first}]"


def _confidence(losses: FloatArray) -> FloatArray:
    """``log(p/(1 − p))`` of ``p = exp(−loss)``, without cancellation."""
    result: FloatArray = -losses - np.log(-np.expm1(-losses))
    return result


def _attack(inside: FloatArray, outside: FloatArray, rate: float) -> MembershipAttack:
    """Judge scores, higher for members."""
    rate = _checks.real("false_positive_rate", rate, low=0.0, high=1.0)
    m, n = len(inside), len(outside)
    inside, outside = np.sort(inside), np.sort(outside)
    below, upto = (np.searchsorted(outside, inside, side) for side in ("left", "right"))
    auc = float((below + upto).mean() / (2.0 * n))  # ties count half
    cuts = np.unique(np.concatenate([inside, outside]))
    # who scores at least a cut; the last cut calls nobody a member
    hits, false = (
        np.append((len(x) - np.searchsorted(x, cuts)) / len(x), 0.0) for x in (inside, outside)
    )
    return MembershipAttack(
        auc,
        _interval(auc, min(m, n)),
        _standard_error(auc, m, n),
        float((0.5 * (hits + 1.0 - false)).max()),
        float(hits[false <= rate].max()),
        rate,
    )


def _standard_error(auc: float, m: int, n: int) -> float:
    """Hanley and McNeil's, of exponential scores; NaN where it cannot but vanish."""
    if min(m, n) == 1 or auc in (0.0, 1.0):
        return math.nan
    q1, q2 = auc / (2.0 - auc), 2.0 * auc**2 / (1.0 + auc)
    variance = auc * (1.0 - auc) + (m - 1) * (q1 - auc**2) + (n - 1) * (q2 - auc**2)
    return math.sqrt(max(variance, 0.0) / (m * n))


def _interval(auc: float, pairs: int) -> tuple[float, float]:
    """Values whose divergence from the AUC ``pairs`` independent pairs do not exclude."""
    from scipy.optimize import bisect

    def excess(true: float) -> float:
        divergence = rel_entr(auc, true) + rel_entr(1.0 - auc, 1.0 - true)
        return float(pairs * divergence - math.log(2.0 / (1.0 - LEVEL)))

    low = bisect(excess, 0.0, auc) if auc > 0.0 else 0.0
    high = bisect(excess, auc, 1.0) if auc < 1.0 else 1.0
    return float(low), float(high)
