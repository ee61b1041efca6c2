"""The data axis: how resistance, forgetting and coherence follow the data; one cell a data set.

A network is trained to a small logistic loss on data of a stated kind, its Gram is read, it is
unlearned for real until the forget set is at chance, and compared with one retrained without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rmtstab import _checks, bridge
from rmtstab._results import FloatArray
from rmtstab.curvature import ReducedFactors, cnn_gram
from rmtstab.ensembles import SignalPlusNoise
from rmtstab.experiment.presets import Preset
from rmtstab.unlearning.problem import UnlearningProblem

FORGET_KINDS = ("random", "class", "hardest", "easiest")
LOSS_LEVEL, TRAINING_STEPS = 0.05, 4000
ALPHA = 0.5  # mixing of the real runs; of Ψ it is `Setting.alpha`
STEPS, BATCH_SHARE, TESTS = 200, 1 / 3, 400


@dataclass(frozen=True)
class Setting:
    """What the data, the network and the forget set are.

    Attributes
    ----------
    snr : float
        ‖μ‖/(σ√dim).
    n, n_forget, dim, filters : int
    label_noise : float
        Share of samples whose label is turned after the patches are drawn.
    positive : float
        Share of the positive class: ½ is balanced.
    forget : str
        ``"random"``, ``"class"`` (positive samples alone), ``"hardest"`` or ``"easiest"`` (the
        largest or smallest losses of the trained network).
    alpha : float
        Mixing at which resistance is read.

    Raises
    ------
    TypeError, ValueError
        If a value is outside its range.

    Examples
    --------
    >>> from rmtstab.experiment.data_axis import Setting
    >>> Setting(snr=0.5).forget
    'random'
    """

    snr: float = 1.0
    n: int = 60
    n_forget: int = 12
    dim: int = 150
    filters: int = 8
    label_noise: float = 0.0
    positive: float = 0.5
    forget: str = "random"
    alpha: float = 0.3

    def __post_init__(self) -> None:
        n, dim, filters = (
            _checks.integer(name, getattr(self, name), low=least)
            for name, least in (("n", 4), ("dim", 2), ("filters", 1))
        )
        positive, alpha = (
            _checks.real(
                name, getattr(self, name), low=0.0, high=1.0, low_open=True, high_open=True
            )
            for name in ("positive", "alpha")
        )
        _checks.keep(
            self, n=n, dim=dim, filters=filters, positive=positive, alpha=alpha,
            n_forget=_checks.integer(
                "n_forget", self.n_forget, low=2, high=n - 2, high_label="n - 2"
            ),
            snr=_checks.real("snr", self.snr, low=0.0, high=1e100),
            label_noise=_checks.real("label_noise", self.label_noise, low=0.0, high=0.5),
            forget=_checks.choice("forget", self.forget, FORGET_KINDS),
        )  # fmt: skip


def variations(base: Setting, **axes: Iterable[Any]) -> list[Setting]:
    """Vary one field of a setting at a time; the base comes once.

    Parameters
    ----------
    base : Setting
    **axes : iterable
        Values of a field.

    Returns
    -------
    list of Setting

    Examples
    --------
    >>> from rmtstab.experiment.data_axis import Setting, variations
    >>> [s.snr for s in variations(Setting(), snr=(0.0, 1.0, 4.0))]
    [1.0, 0.0, 4.0]
    """
    found = [_checks.instance("base", base, Setting)]
    for name, values in axes.items():
        _checks.choice("axes", name, [f.name for f in fields(Setting)])
        found += [replace(base, **{name: value}) for value in _checks.each(name, values)]
    return list(dict.fromkeys(found))


def of_preset(preset: Preset) -> list[Setting]:
    """List the settings of a validation run: the ratio, the forget set, and more if it asks.

    Parameters
    ----------
    preset : Preset

    Returns
    -------
    list of Setting

    Examples
    --------
    >>> from rmtstab.experiment import PRESETS
    >>> from rmtstab.experiment.data_axis import of_preset
    >>> len(of_preset(PRESETS["quick"])), len(of_preset(PRESETS["full"]))
    (8, 23)
    """
    _checks.instance("preset", preset, Preset)
    share = preset.n_forget / preset.n
    base = Setting(
        n=preset.n, n_forget=preset.n_forget, dim=preset.dim, filters=preset.filters,
        alpha=preset.alpha,
    )  # fmt: skip
    found = variations(base, snr=preset.axis_snrs, forget=FORGET_KINDS)
    if not preset.axis_all:
        return found
    found += variations(
        base, dim=(preset.dim // 3, 3 * preset.dim), label_noise=(0.1, 0.2), positive=(0.7, 0.9),
        filters=(max(1, preset.filters // 2), 2 * preset.filters, 4 * preset.filters),
    )  # fmt: skip
    found += [
        replace(base, n=n, n_forget=max(2, round(share * n)))
        for n in (preset.n // 2, 2 * preset.n, 4 * preset.n)
    ]
    return list(dict.fromkeys(found))


def describe(setting: Setting, seed: Any) -> dict[str, Any]:
    """Train, read, unlearn and compare with retraining.

    Parameters
    ----------
    setting : Setting
    seed : int or sequence of int
        Of the data set; the same noise and labels at every ratio.

    Returns
    -------
    dict
        The setting; ``resistance`` (Ψ of the mean dynamics of the Jacobian Gram at
        ``setting.alpha``, None where nothing escapes) and ``curvature``; ``coherence_retain``,
        ``coherence_forget``, ``coherence_cross``; ``training_loss``, ``test_accuracy``; of the
        real runs at α = ½ ``steps`` (to forget accuracy ≤ ½; None: not within `STEPS`) and, there
        or at the end, ``forget_accuracy``, ``retain_accuracy``, ``retain_loss``,
        ``membership_auc`` (loss threshold, forget set against fresh samples; ½: no trace; beside
        it ``membership_auc_before``), ``distance`` (share of fresh samples that it and the
        retrained network call differently) and ``distance_before``.

    Raises
    ------
    ValueError
        If a class is to be forgotten that has fewer samples.

    Examples
    --------
    >>> from rmtstab.experiment.data_axis import Setting, describe
    >>> found = describe(Setting(n=16, n_forget=4, dim=30, filters=4, snr=2.0), seed=0)
    >>> found["training_loss"] <= 0.05, 0.0 <= found["forget_accuracy"] <= 1.0
    (True, True)
    """
    _checks.instance("setting", setting, Setting)
    rng = _checks.generator("seed", seed, several=True)
    patches, labels = _sample(setting, setting.n, setting.label_noise, rng)
    if setting.forget == "class" and (positives := int((labels > 0).sum())) < setting.n_forget:
        raise ValueError(
            f"n_forget must be at most the positive samples={positives} with forget='class', "
            f"got {setting.n_forget}"
        )
    fresh, answers = _sample(setting, TESTS, 0.0, rng)
    start = int(rng.integers(2**31))
    model = _model(setting, start)
    loss = _train(model, patches, labels)
    chosen = _forget_set(setting, model, patches, labels, rng)
    order = np.concatenate([np.flatnonzero(~chosen), np.flatnonzero(chosen)])
    patches, labels = patches[order], labels[order]
    cut = setting.n - setting.n_forget
    gram = cnn_gram(model.weights.detach().numpy(), patches, labels)
    coherence = UnlearningProblem.from_gram(gram, cut).coherence()
    curvature, resistance = mean_escape(gram, cut, setting.alpha)
    retrained = _model(setting, start)
    _train(retrained, patches[:cut], labels[:cut])
    target = _outputs(retrained, fresh)

    def looked_at(network: torch.nn.Module) -> tuple[float, float]:
        outputs = _outputs(network, fresh)
        attack = bridge.loss_threshold_attack(
            _losses(_outputs(network, patches[cut:]), labels[cut:]), _losses(outputs, answers)
        )
        return attack.auc, bridge.retraining_distance(outputs, target).disagreement

    auc, distance = looked_at(model)
    record: dict[str, Any] = {
        **asdict(setting),
        "training_loss": loss,
        "test_accuracy": float(np.mean(_outputs(model, fresh) * answers > 0)),
        "resistance": resistance,
        "curvature": curvature,
        "coherence_retain": coherence.retain,
        "coherence_forget": coherence.forget,
        "coherence_cross": coherence.cross,
        "membership_auc_before": auc,
        "distance_before": distance,
    }
    record |= _unlearn(model, gram, patches, labels, cut, rng)
    record["membership_auc"], record["distance"] = looked_at(model)
    return record


def mean_escape(gram: FloatArray, n_retain: int, alpha: float) -> tuple[float, float | None]:
    """Most negative curvature of ``D(α)`` and Ψ along it, of a Gram of rank-one curvatures.

    Parameters
    ----------
    gram : array_like, shape (n, n)
        Symmetric positive semi-definite.
    n_retain : int
        In [1, n − 1].
    alpha : float
        In [0, 1].

    Returns
    -------
    (float, float or None)
        0 and None where the mean does not escape.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.experiment.data_axis import mean_escape
    >>> mean_escape(np.diag([1.0, 4.0]), 1, 0.5)
    (2.0, 0.0)
    """
    root = ReducedFactors.from_gram(gram).matrix.T  # K = root rootᵀ
    n = len(root)
    n_retain = _checks.integer("n_retain", n_retain, low=1, high=n - 1, high_label="n - 1")
    alpha = _checks.real("alpha", alpha, low=0.0, high=1.0)
    weights = np.where(np.arange(n) < n_retain, (1.0 - alpha) / n_retain, -alpha / (n - n_retain))
    if not root.size:
        return 0.0, None
    curvatures, directions = np.linalg.eigh(root.T @ (weights[:, None] * root))
    if curvatures[0] >= -1e-12 * max(abs(curvatures[-1]), 1e-300):
        return 0.0, None
    squares = (root @ directions[:, 0]) ** 2
    return float(-curvatures[0]), float(squares[:n_retain].mean() / squares[n_retain:].mean())


def table(records: list[dict[str, Any]], varied: str, columns: Iterable[str]) -> str:
    """Markdown: mean and standard error over data sets at each value of a varied field.

    Parameters
    ----------
    records : list of dict
        As from `describe`.
    varied : str
    columns : iterable of str

    Returns
    -------
    str

    Examples
    --------
    >>> from rmtstab.experiment.data_axis import table
    >>> print(table([{"snr": 1.0, "steps": 3}, {"snr": 1.0, "steps": 5}], "snr", ["steps"]))
    | snr | steps |
    | --- | --- |
    | 1 | 4 ± 1 |
    """
    names = [
        _checks.instance(f"columns[{k}]", c, str)
        for k, c in enumerate(_checks.each("columns", columns))
    ]
    _checks.instance("varied", varied, str)
    _checks.records("records", records, [varied, *names])
    rows = [[varied, *names], ["---"] * (1 + len(names))]
    for value in dict.fromkeys(r[varied] for r in records):
        row = [f"{value:g}" if isinstance(value, float) else str(value)]
        for name in names:
            given = [r[name] for r in records if r[varied] == value and r[name] is not None]
            mean = float(np.mean(given)) if given else math.nan
            error = float(np.std(given, ddof=1)) / math.sqrt(len(given)) if len(given) > 1 else None
            row.append(f"{mean:.3g}" + ("" if error is None else f" ± {error:.2g}"))
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _sample(
    setting: Setting, n: int, label_noise: float, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Patches and labels: n samples of the stated classes, some labels turned."""
    positive = min(max(round(setting.positive * n), 1), n - 1)
    # enough of both classes, whatever the draw
    patches, labels = SignalPlusNoise(8 * n + 64, setting.dim, setting.snr).sample(rng)
    rows = np.concatenate(
        [np.flatnonzero(labels > 0)[:positive], np.flatnonzero(labels < 0)[: n - positive]]
    )
    rows = rng.permutation(rows)
    turned = rng.permutation(n)[: round(label_noise * n)]
    patches, labels = patches[rows], labels[rows].copy()
    labels[turned] *= -1.0
    return patches, labels


def _forget_set(
    setting: Setting,
    model: torch.nn.Module,
    patches: FloatArray,
    labels: FloatArray,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    if setting.forget == "random":  # the classes by their shares
        place = rng.permutation(len(labels)).astype(float)
        for sign in (1.0, -1.0):
            rows = np.flatnonzero(labels == sign)
            order = np.argsort(place[rows]).argsort()
            place[rows] = (order + 0.5) / max(len(rows), 1)
        rank = place
    elif setting.forget == "class":
        rank = np.where(labels > 0, rng.random(len(labels)), 2.0)
    else:
        losses = _losses(_outputs(model, patches), labels)
        rank = -losses if setting.forget == "hardest" else losses
    chosen = np.zeros(len(labels), dtype=bool)
    chosen[np.argsort(rank)[: setting.n_forget]] = True
    return chosen


def _model(setting: Setting, seed: int) -> bridge.TwoLayerReLUCNN:
    return bridge.TwoLayerReLUCNN(setting.dim, setting.filters, scale=0.1, seed=seed)


def _train(model: bridge.TwoLayerReLUCNN, patches: FloatArray, labels: FloatArray) -> float:
    """Full-batch descent on the logistic loss to `LOSS_LEVEL`, below its safe step."""
    inputs, targets = torch.tensor(patches), torch.tensor(labels)
    value, step_size = math.inf, 0.0
    for step in range(TRAINING_STEPS):
        if step % 50 == 0:
            gram = cnn_gram(model.weights.detach().numpy(), patches, labels)
            step_size = 4.0 * len(labels) / float(np.linalg.eigvalsh(gram)[-1])
        loss = bridge.logistic(model(inputs), targets)
        value = float(loss.detach())
        if value < LOSS_LEVEL:
            break
        (slope,) = torch.autograd.grad(loss, [model.weights])
        with torch.no_grad():
            model.weights.sub_(slope, alpha=step_size)
    return value


def _unlearn(
    model: bridge.TwoLayerReLUCNN,
    gram: FloatArray,
    patches: FloatArray,
    labels: FloatArray,
    cut: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Descend and ascend until the forget set is at chance; the model is left there."""
    inputs, targets = torch.tensor(patches), torch.tensor(labels)
    n_forget = len(labels) - cut
    batches = max(1, round(BATCH_SHARE * cut)), max(1, round(BATCH_SHARE * n_forget))
    # half of what is safe for full-batch descent on the retain set
    step_size = 4.0 * cut / float(np.linalg.eigvalsh(gram[:cut, :cut])[-1])
    settings: dict[str, Any] = {
        "step_size": step_size, "batch_size": batches, "alpha": ALPHA, "replicas": 1,
        "rng": int(rng.integers(2**31)),
    }  # fmt: skip
    sets = (inputs[:cut], targets[:cut]), (inputs[cut:], targets[cut:])
    runs = bridge.unlearn(model, bridge.logistic, *sets, steps=STEPS, keep_final=False, **settings)
    at_chance = np.flatnonzero(runs.forget_accuracy[0] <= 0.5)
    end = int(at_chance[0]) if at_chance.size else STEPS
    again = bridge.unlearn(model, bridge.logistic, *sets, steps=end, **settings)
    with torch.no_grad():
        model.weights.add_(torch.as_tensor(again.final[0]).view_as(model.weights))
    return {
        "steps": end if at_chance.size else None,
        "forget_accuracy": float(runs.forget_accuracy[0, end]),
        "retain_accuracy": float(runs.retain_accuracy[0, end]),
        "retain_loss": float(runs.retain_loss[0, end]),
    }


def _outputs(model: torch.nn.Module, patches: FloatArray) -> FloatArray:
    with torch.no_grad():
        found: FloatArray = model(torch.tensor(patches)).numpy()
    return found


def _losses(outputs: FloatArray, labels: FloatArray) -> FloatArray:
    found: FloatArray = np.logaddexp(0.0, -outputs * labels)
    return found
