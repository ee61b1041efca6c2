"""Has it been forgotten? Distance to retraining in function space, and membership inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab._results import FloatArray


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
        ``‖f − g‖ / ‖g‖`` of all outputs.
    """

    disagreement: float
    total_variation: float
    output_distance: float


def retraining_distance(outputs: Any, retrained: Any) -> FunctionDistance:
    """Compare a network with one retrained without the forget set, in function space.

    Parameters
    ----------
    outputs, retrained : array_like, shape (n, C) or (n,)
        Outputs (logits) of the two on the same samples; those of a prediction will do.

    Returns
    -------
    FunctionDistance

    Raises
    ------
    ValueError
        If shapes differ or numbers are not finite.

    Examples
    --------
    >>> from rmtstab.bridge import retraining_distance
    >>> retraining_distance([[2.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [1.0, 0.0]]).disagreement
    0.5
    """
    f = _checks.array("outputs", outputs, ndim=(1, 2))
    g = _checks.array("retrained", retrained, ndim=(1, 2))
    if not f.size:
        raise ValueError(f"outputs must hold at least one sample, got shape {f.shape}")
    for name, x in (("outputs", f), ("retrained", g)):
        _checks.moderate(name, x)
    if f.shape != g.shape:
        raise ValueError(f"retrained must have the outputs' shape {f.shape}, got {g.shape}")
    f, g = (x.reshape(len(x), -1) for x in (f, g))
    if f.shape[1] == 1:  # one logit: the two classes' logits are 0 and f
        both = [np.column_stack([np.zeros(len(x)), x[:, 0]]) for x in (f, g)]
    else:
        both = [f, g]
    labels = [x.argmax(axis=1) for x in both]
    p, q = (softmax(x, axis=1) for x in both)
    size = float(np.linalg.norm(g))
    return FunctionDistance(
        float(np.mean(labels[0] != labels[1])),
        float(0.5 * np.abs(p - q).sum(axis=1).mean()),
        float(np.linalg.norm(f - g)) / size if size > 0 else float("inf"),
    )


@dataclass(frozen=True)
class MembershipAttack(Record):
    """How well members are told from samples that were not trained on.

    Attributes
    ----------
    auc : float
        Probability that a member scores above a non-member; ½ is no knowledge.
    standard_error : float
        Of ``auc``, by Hanley and McNeil's formula.
    balanced_accuracy : float
        At the best threshold, chosen on these samples: optimistic.
    true_positive_rate : float
        At a false positive rate of at most ``false_positive_rate``.
    false_positive_rate : float
    """

    auc: float
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
        same kind that were not.
    false_positive_rate : float, default 0.05

    Returns
    -------
    MembershipAttack

    Raises
    ------
    ValueError
        If one of the two is empty or holds NaN.

    References
    ----------
    Yeom et al., arXiv:1709.01604, Adversary 2; the standard error: Hanley and McNeil,
    Radiology 143, 29 (1982).

    Examples
    --------
    >>> from rmtstab.bridge import loss_threshold_attack
    >>> loss_threshold_attack([0.1, 0.2, 0.9], [0.5, 1.0, 2.0]).auc
    0.8888888888888888
    """
    return _attack(
        -_losses("member_losses", member_losses),
        -_losses("other_losses", other_losses),
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
        Cross-entropy of each sample under the attacked model.
    shadow_losses : array_like, shape (n_shadows, n)
        The same under each shadow model.
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
        If shapes do not fit, or a sample is in or out of fewer than two shadow models.

    Notes
    -----
    The two variances are pooled over the samples, which a handful of shadow models needs.

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
    target = _losses("losses", losses)
    shadows = _checks.array("shadow_losses", shadow_losses, ndim=2)
    inside, truth = _checks.truths("trained_on", trained_on), _checks.truths("members", members)
    if shadows.shape[1:] != target.shape or inside.shape != shadows.shape:
        raise ValueError(
            f"shadow_losses and trained_on must have shape (n_shadows, n={len(target)}), "
            f"got {shadows.shape} and {inside.shape}"
        )
    if truth.shape != target.shape:
        raise ValueError(f"members must have shape ({len(target)},), got {truth.shape}")
    counts = inside.sum(axis=0)
    few = np.minimum(counts, len(inside) - counts) < 2
    if few.any():
        raise ValueError(
            "trained_on must have each sample in and out of at least two shadow models, got "
            f"{int(few.sum())} samples with fewer"
        )
    phi, own = _confidence(shadows), _confidence(target)
    scores = np.zeros(len(target))
    for sign, chosen in ((1.0, inside), (-1.0, ~inside)):
        n = chosen.sum(axis=0)
        mean = np.where(chosen, phi, 0.0).sum(axis=0) / n
        spread = np.where(chosen, phi - mean, 0.0)
        deviation = np.sqrt((spread**2).sum() / (n - 1).sum())
        deviation = max(float(deviation), 1e-12)
        scores += sign * (-0.5 * ((own - mean) / deviation) ** 2 - np.log(deviation))
    if truth.all() or not truth.any():
        raise ValueError("members must hold members and others, got one kind alone")
    return _attack(scores[truth], scores[~truth], false_positive_rate)


def _losses(name: str, values: Any) -> FloatArray:
    losses = _checks.array(name, values, ndim=1, finite=False)
    if not losses.size or np.isnan(losses).any():
        raise ValueError(f"{name} must hold at least one loss and no NaN, got {losses.size}")
    return losses


def _confidence(losses: FloatArray) -> FloatArray:
    """``log(p/(1 − p))`` of ``p = exp(−loss)``, without cancellation."""
    safe = np.clip(losses, 1e-15, 700.0)
    result: FloatArray = -safe - np.log(-np.expm1(-safe))
    return result


def _attack(inside: FloatArray, outside: FloatArray, rate: float) -> MembershipAttack:
    """Judge scores, higher for members."""
    rate = _checks.real("false_positive_rate", rate, low=0.0, high=1.0)
    m, n = len(inside), len(outside)
    below, upto = (np.searchsorted(np.sort(outside), inside, side) for side in ("left", "right"))
    auc = float((below + upto).mean() / (2.0 * n))  # ties count half
    q1, q2 = auc / (2.0 - auc), 2.0 * auc**2 / (1.0 + auc)
    variance = (
        auc * (1.0 - auc) + (m - 1) * (q1 - auc**2) + (n - 1) * (q2 - auc**2)
    ) / (m * n)  # fmt: skip
    cuts = np.append(np.unique(np.concatenate([inside, outside])), np.inf)
    hits = np.array([(inside >= c).mean() for c in cuts])
    false = np.array([(outside >= c).mean() for c in cuts])
    return MembershipAttack(
        auc,
        float(np.sqrt(max(variance, 0.0))),
        float((0.5 * (hits + 1.0 - false)).max()),
        float(hits[false <= rate].max()),
        rate,
    )
