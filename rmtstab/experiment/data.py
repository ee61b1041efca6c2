"""Data sets of a validation run: signal plus noise, and digits; retain samples first."""

from __future__ import annotations

from typing import Any

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.ensembles import SignalPlusNoise
from rmtstab.experiment.presets import Preset

DIGITS_PATCH, DIGITS_STRIDE = 6, 2  # 4 overlapping patches of an 8 × 8 image


def load(preset: Preset, spec: dict[str, Any]) -> tuple[FloatArray, FloatArray, int]:
    """Draw a network's data: patches, labels, size of the retain set.

    ``spec`` holds ``data`` ("signal_plus_noise" or "digits"), ``index`` (which
    repeat), ``seed``, and ``snr`` or ``forget`` ("random" or "sevens").
    """
    rng = np.random.default_rng([spec["seed"], spec["index"], 17])
    if spec["data"] == "signal_plus_noise":
        patches, labels = SignalPlusNoise(preset.n, preset.dim, spec["snr"]).sample(rng)
        forget = _balanced_subset(labels, preset.n_forget, rng)
    else:
        patches, labels, is_seven = digits(preset.digits_n, rng)
        size = int(is_seven.sum())
        forget = is_seven if spec["forget"] == "sevens" else _subset(len(labels), size, rng)
    order = np.concatenate([np.flatnonzero(~forget), np.flatnonzero(forget)])
    return np.ascontiguousarray(patches[order]), labels[order], int((~forget).sum())


def digits(n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, Any]:
    """Draw n of scikit-learn's digits: centred patches, labels (0–4: +1, 5–9: −1), sevens.

    A tenth of the images are sevens, as in the whole set.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images, target = bunch.images / 16.0, bunch.target
    images = images - images.mean(axis=0)
    sevens = rng.permutation(np.flatnonzero(target == 7))[: max(2, n // 10)]
    others = rng.permutation(np.flatnonzero(target != 7))[: n - len(sevens)]
    chosen = rng.permutation(np.concatenate([sevens, others]))
    windows = np.lib.stride_tricks.sliding_window_view(
        images[chosen], (DIGITS_PATCH, DIGITS_PATCH), axis=(1, 2)
    )[:, ::DIGITS_STRIDE, ::DIGITS_STRIDE]
    patches = np.ascontiguousarray(windows.reshape(n, -1, DIGITS_PATCH**2))
    return patches, np.where(target[chosen] < 5, 1.0, -1.0), target[chosen] == 7


def _balanced_subset(labels: FloatArray, size: int, rng: np.random.Generator) -> Any:
    """Return a mask of ``size`` samples, half of each class (the odd one positive)."""
    positive = rng.permutation(np.flatnonzero(labels > 0))[: (size + 1) // 2]
    negative = rng.permutation(np.flatnonzero(labels < 0))[: size // 2]
    mask = np.zeros(len(labels), dtype=bool)
    mask[np.concatenate([positive, negative])] = True
    return mask


def _subset(n: int, size: int, rng: np.random.Generator) -> Any:
    mask = np.zeros(n, dtype=bool)
    mask[rng.permutation(n)[:size]] = True
    return mask
