"""A diagnosis in sentences, and as plain values for JSON."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab._record import plain
from rmtstab.bridge.advice import FACTORS, OCTAVES, PLAIN
from rmtstab.bridge.curves import majority

if TYPE_CHECKING:
    from rmtstab.bridge.advice import Advice

ANSWERS = {
    "keeps": "It keeps: within {steps} steps the median run neither forgets nor collapses.",
    "forgets": "It forgets at step {forgot}, and keeps what it should for all {steps} steps.",
    "forgets_then_collapses": "It forgets at step {forgot}, then collapses at step {collapsed}: "
    "stop in between.",
    "collapses": "It collapses at step {collapsed} without having forgotten first.",
}


def sentences(answer: Any) -> list[str]:
    """The diagnosis, a sentence or two a line, the answer first."""
    s = answer.settings
    forgot, collapsed = (float(majority(x)) for x in (answer.forget_step, answer.collapse_step))
    head = ANSWERS[answer.outcome].format(
        steps=s["steps"], forgot=count(forgot), collapsed=count(collapsed)
    )
    return [
        head,
        *_judged(answer.inputs),
        *_trust(answer),
        _spread("forgets", answer.forget_step),
        _spread("collapses", answer.collapse_step),
        "",
        *_inputs(answer),
        "",
        *_curvature(answer),
        *_samples(answer),
        *([] if answer.advice is None else ["", *_advice(answer.advice, s)]),
        "",
        "Time: " + ", ".join(f"{k} {v:.1f} s" for k, v in answer.seconds.items()) + ".",
    ]


def as_record(answer: Any) -> dict[str, Any]:
    """Plain values; see `Diagnosis.to_dict`."""
    run = answer.run
    curves = {
        name: _quantiles(getattr(run, name))
        for name in (
            "retain_loss", "forget_loss", "test_loss",
            "retain_accuracy", "forget_accuracy", "test_accuracy", "displacement",
        )
    }  # fmt: skip
    advice = None
    if answer.advice is not None:
        advice = {f.name: getattr(answer.advice, f.name) for f in dataclasses.fields(answer.advice)}
        advice["map"] = dataclasses.asdict(answer.advice.map)
    record = {
        "outcome": answer.outcome,
        "forget_step": answer.forget_step,
        "collapse_step": answer.collapse_step,
        "forget_step_quantiles": _step_quantiles(answer.forget_step),
        "collapse_step_quantiles": _step_quantiles(answer.collapse_step),
        "trusted_until": answer.trusted_until,
        "trusted": answer.trusted,
        "robust": answer.robust,
        "neighbours": answer.neighbours,
        "settings": answer.settings,
        "inputs": answer.inputs,
        "curvature": dataclasses.asdict(answer.curvature),
        "samples": None if answer.samples is None else dataclasses.asdict(answer.samples),
        "advice": advice,
        "steps": run.steps,
        "curves": curves,
        "check": {
            "steps": answer.check.steps,
            "predicted": answer.check.predicted,
            "observed": answer.check.observed,
            "difference": answer.check.difference,
            "evaluations": answer.check.evaluations,
        },
        "seconds": answer.seconds,
        "words": answer.words(),
    }
    found: dict[str, Any] = plain(record)
    return found


def count(step: float) -> str:
    """Show a step; "never" for an infinite one."""
    return "never" if math.isinf(step) else f"{step:.0f}"


def _quantiles(values: Any) -> dict[str, Any]:
    """10 %, median and 90 % over replicas; a replica's infinity stays one."""
    found = np.quantile(values, (0.1, 0.5, 0.9), axis=0, method="inverted_cdf")
    return dict(zip(("low", "median", "high"), found, strict=True))


def _step_quantiles(steps: Any) -> dict[str, float]:
    low, high = np.quantile(steps, (0.1, 0.9), method="inverted_cdf")
    return {"low": float(low), "median": float(majority(steps)), "high": float(high)}


def _spread(verb: str, steps: Any) -> str:
    happened = int(np.isfinite(steps).sum())
    if not happened:
        return f"None of {len(steps)} runs {verb[:-1]}."
    q = _step_quantiles(steps)
    return (
        f"{happened} of {len(steps)} runs {verb.removesuffix('s')}; steps (10 %, median, 90 %): "
        f"{count(q['low'])}, {count(q['median'])}, {count(q['high'])}."
    )


def _judged(inputs: dict[str, Any]) -> list[str]:
    """Say what is judged by the loss that its set was given, for want of right answers."""
    names = [
        verb
        for verb, name in (("collapse", "retain"), ("forgetting", "forget"))
        if inputs[f"{name}_loss"] is not None and not inputs[f"{name}_accuracy"] > 0.0
    ]
    if not names:
        return []
    is_are = "are" if len(names) > 1 else "is"
    return [
        f"{' and '.join(names).capitalize()} {is_are} judged by the loss alone: no right answers "
        "are known at the start."
    ]


def _trust(answer: Any) -> list[str]:
    steps = answer.settings["steps"]
    if answer.trusted_until >= steps:
        lines = ["The true network at the predicted weights agrees to the end."]
    else:
        lines = [
            f"The true network at the predicted weights agrees until step "
            f"{count(answer.trusted_until)}; beyond it the prediction is out of its range."
        ]
        if not answer.check.beyond:
            collapses = answer.outcome.endswith("collapses")
            seen = "has collapsed too" if collapses else "has not collapsed either"
            lines[0] += f" The verdict stands: at those weights it {seen}."
    if answer.check.beyond:
        lines.append("At the predicted weights the true network contradicts the verdict.")
    if answer.check.drifts:
        lines.append(
            "The kernel moves, and the verdict depends on it: with that of the trained weights it "
            "would be another."
        )
    if answer.check.leaps:
        lines.append(
            "Single steps move an output further than a network is linear; the predicted run comes "
            "back, the true one may not."
        )
    if answer.robust:
        lines.append("The outcome stays when step size or alpha moves by a third.")
    else:
        others = [f"{k}: {v}" for k, v in answer.neighbours.items() if v != answer.outcome]
        lines.append("Near the frontier; with " + "; with ".join(others) + ".")
        if not answer.check.tips:
            lines[-1] += " Whether it collapses stays the same."
    return lines


def _inputs(answer: Any) -> list[str]:
    i, s = answer.inputs, answer.settings
    share = "" if i["parameters"] == i["parameters_in_all"] else f" of {i['parameters_in_all']:,}"
    lines = [
        f"{i['model']}, {i['parameters']:,}{share} parameters move ({i['dtype']}, {i['device']}, "
        f"described in eval mode); {i['n_retain']} to retain, {i['n_forget']} to forget, "
        f"{i['outputs']} outputs; Gram matrix {i['gram_bytes'] / 2**20:.0f} MiB.",
        f"step size {s['step_size']:g}, alpha {s['alpha']:g}, batches "
        f"{'/'.join(f'{b:g}' for b in s['batch_size'])} ({s['sampling']}), {s['steps']} steps, "
        f"{s['update']}, momentum {s['momentum']:g}, weight decay {s['weight_decay']:g}.",
    ]
    for name, residual in zip(("retain", "forget"), i["largest_output_gradient"], strict=False):
        accuracy = i[f"{name}_accuracy"]
        known = ", no accuracy" if math.isnan(accuracy) else f", accuracy {accuracy:.3g}"
        lines.append(
            f"{name}: loss {i[f'{name}_loss']:.3g}{known}; largest output gradient "
            f"{residual:.2g} ({'interpolated' if residual < 1e-3 else 'not interpolated'})."
        )
    return [*lines, *(f"note: {note}" for note in i["notes"])]


def _curvature(answer: Any) -> list[str]:
    c = answer.curvature
    if c.retain is None:
        return ["Frozen curvature: the loss is not convex in the outputs; none."]
    lines = []
    for name, part in (("retain", c.retain), ("forget", c.forget)):
        if part is not None:
            lines.append(
                f"{name} curvature: largest eigenvalue {part.sharpness:.3g}, effective rank "
                f"{part.effective_rank:.3g}, coherence {part.coherence:.3g} of at most "
                f"{part.largest_coherence:.3g}."
            )
    if c.forget is not None:
        lines.append(
            f"cross coherence {c.cross_coherence:.3g} of at most {c.largest_cross_coherence:.3g}."
        )
    if not math.isnan(c.safe_step_size):
        lines.append(
            f"Full-batch descent on the retain set alone is safe up to step size "
            f"{c.safe_step_size:.3g}, whatever the outputs."
        )
    ratio = c.sgd_step_size / answer.settings["step_size"]
    kind = "mean-square" if c.is_exact else "mean's"
    lines.append(
        f"Plain SGD on the retain set: the {kind} linear threshold is {ratio:.3g} × the step "
        f"size (frozen curvature, blind where the loss is saturated)."
    )
    return lines


def _samples(answer: Any) -> list[str]:
    found = answer.samples
    if found is None:
        return []
    n = answer.inputs["n_forget"]
    resisting = ", ".join(map(str, found.resisting[:8])) or "none"
    carrying = ", ".join(map(str, found.carrying[:8])) or "none"
    resist = "resists" if len(found.resisting) == 1 else "resist"
    carry = "carries" if len(found.carrying) == 1 else "carry"
    return [
        f"At step {found.step}, {len(found.resisting)} of {n} forget samples still {resist} "
        f"({resisting}); {len(found.carrying)} {carry} half of the forget set's move ({carrying})."
    ]


def _advice(found: Advice, s: dict[str, Any]) -> list[str]:
    eta = found.largest_step_size
    if math.isnan(eta):
        step = (
            f"  no step size down to {s['step_size'] * FACTORS[0] / 2**OCTAVES:.3g} is small enough"
        )
    elif found.step_size_is_bound:
        step = f"  largest step size: at least {eta:.3g}, the largest tried"
    else:
        step = f"  largest step size: {eta:.3g}"
    alpha = found.largest_alpha
    lines = [
        f"To keep the retain loss below {found.retain_budget:.3g} at every step, all else as it is "
        f"({found.replicas} replicas a setting, by prediction alone: diagnose what you take):",
        step,
        "  not even alpha 0 is small enough"
        if math.isnan(alpha)
        else f"  largest alpha: {alpha:.3g}" + ", all that there is" * (alpha == 1.0),
    ]
    batch = found.smallest_batch_size
    lines.append(
        "  no batch is large enough"
        if batch is None
        else f"  smallest batch: {batch[0]}/{batch[1]}"
    )
    if found.window:
        eta, alpha = found.window_cells[0]
        lines.append(
            f"A window exists: {len(found.window_cells)} of {found.map.outcome.size} settings "
            f"forget before any collapse, the gentlest at step size {eta:.3g}, alpha {alpha:.3g}."
        )
    else:
        lines.append("No step size and alpha that were tried forget before they collapse.")
    if math.isinf(found.sgd_collapse):
        said = f"does not collapse at any step size tried, up to {PLAIN[-1]:.3g} × the given one."
    elif found.sgd_collapse == 1.0:
        said = f"collapses within {s['steps']} steps, at the given step size already."
    else:
        said = f"collapses within {s['steps']} steps from {found.sgd_collapse:.3g} × the step size."
    return [*lines, f"Plain SGD on the retain set alone {said}"]
