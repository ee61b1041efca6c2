"""Data sets of a validation run: signal plus noise, digits, photographs, textures.

Retain samples come first. Digits and photographs are real, and ship inside scikit-learn.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.ensembles import SignalPlusNoise
from rmtstab.experiment.presets import Preset

MOST = 10**7  # images drawn at a time
SIDE, DIGITS_PATCH, DIGITS_STRIDE = 8, 6, 2  # 4 overlapping patches of an 8 × 8 image


def load(preset: Preset, spec: dict[str, Any]) -> tuple[FloatArray, FloatArray, int]:
    """Draw a network's data: patches, labels, size of the retain set.

    Parameters
    ----------
    preset : Preset
    spec : dict
        ``data`` ("signal_plus_noise", "digits", "photographs" or "textures"), ``index`` (which
        repeat), ``seed``, and ``snr`` or ``forget``: "random", of digits also "sevens", of
        photographs and textures also "class" (samples of the positive class alone).

    Returns
    -------
    (ndarray, shape (n, P, dim); ndarray, shape (n,); int)

    Raises
    ------
    TypeError, ValueError
        If the preset is none, or an entry of ``spec`` is missing, or is none of those above.

    Examples
    --------
    >>> from rmtstab.experiment import PRESETS
    >>> from rmtstab.experiment.data import load
    >>> spec = {"data": "textures", "forget": "class", "index": 0, "seed": 0}
    >>> patches, labels, n_retain = load(PRESETS["tiny"], spec)
    >>> patches.shape[1:], bool((labels[n_retain:] == 1.0).all())
    ((4, 36), True)
    """
    rng = check_spec(preset, spec)
    if spec["data"] == "signal_plus_noise":
        patches, labels = SignalPlusNoise(preset.n, preset.dim, spec["snr"]).sample(rng)
        forget = _balanced_subset(labels, preset.n_forget, rng)
    elif spec["data"] in WINDOWED:
        images, labels = WINDOWED[spec["data"]](preset.digits_n, rng)
        patches = windows(images)
        size = max(2, preset.digits_n // 10)
        forget = _subset(len(labels), size, rng)
        if spec["forget"] == "class":
            positive = np.flatnonzero(labels > 0)
            forget = np.zeros(len(labels), dtype=bool)
            forget[rng.permutation(positive)[:size]] = True
    else:
        patches, labels, is_seven = digits(preset.digits_n, rng)
        size = int(is_seven.sum())
        forget = is_seven if spec["forget"] == "sevens" else _subset(len(labels), size, rng)
    order = np.concatenate([np.flatnonzero(~forget), np.flatnonzero(forget)])
    return np.ascontiguousarray(patches[order]), labels[order], int((~forget).sum())


def load_images(preset: Preset, spec: dict[str, Any]) -> tuple[FloatArray, FloatArray, int]:
    """Draw 8 × 8 images, labels and the size of the retain set: for networks that take images.

    Parameters
    ----------
    preset : Preset
    spec : dict
        ``data`` ("digits", "photographs" or "textures"), ``index``, ``seed``; a tenth of the
        images, at random, is to be forgotten.

    Returns
    -------
    (ndarray, shape (n, 8, 8); ndarray, shape (n,); int)

    Raises
    ------
    TypeError, ValueError
        As for `load`.

    Examples
    --------
    >>> from rmtstab.experiment import PRESETS
    >>> from rmtstab.experiment.data import load_images
    >>> load_images(PRESETS["tiny"], {"data": "textures", "index": 0, "seed": 0})[0].shape[1:]
    (8, 8)
    """
    rng = check_spec(preset, spec, images=True)
    n, n_forget = preset.digits_n, max(2, preset.digits_n // 10)
    if spec["data"] in WINDOWED:
        images, labels = WINDOWED[spec["data"]](n, rng)
    else:
        images, target = _digit_images()
        rows = rng.permutation(len(target))[:n]
        images, labels = images[rows], np.where(target[rows] < 5, 1.0, -1.0)
    return images, labels, n - n_forget


def _digit_images() -> tuple[FloatArray, Any]:
    """All of scikit-learn's digits, centred, and which digit each is."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = bunch.images / 16.0
    return images - images.mean(axis=0), bunch.target


def digits(n: int, rng: np.random.Generator | int) -> tuple[FloatArray, FloatArray, Any]:
    """Draw n of scikit-learn's digits: centred patches, labels (0–4: +1, 5–9: −1), sevens.

    A tenth of the images are sevens, as in the whole set.

    Parameters
    ----------
    n : int
        In [4, 1797]: there are no more.
    rng : numpy.random.Generator or int

    Returns
    -------
    patches : ndarray, shape (n, P, dim), float64
    labels : ndarray, shape (n,), float64
    sevens : ndarray, shape (n,), bool

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or outside its range.

    Examples
    --------
    >>> from rmtstab.experiment.data import digits
    >>> patches, labels, sevens = digits(50, 0)
    >>> patches.shape, int(sevens.sum())
    ((50, 4, 36), 5)
    """
    rng = _checks.generator("rng", rng)
    images, target = _digit_images()
    n = _checks.integer("n", n, low=4, high=len(target))
    sevens = rng.permutation(np.flatnonzero(target == 7))[: max(2, n // 10)]
    others = rng.permutation(np.flatnonzero(target != 7))[: n - len(sevens)]
    chosen = rng.permutation(np.concatenate([sevens, others]))
    patches = windows(images[chosen])
    return patches, np.where(target[chosen] < 5, 1.0, -1.0), target[chosen] == 7


def photographs(n: int, rng: np.random.Generator | int) -> tuple[FloatArray, FloatArray]:
    """Draw 8 × 8 pieces of scikit-learn's two photographs: a temple (+1) and a flower (−1).

    Each photograph is grey and four times smaller; pieces may overlap. Less their mean image
    and over the pixels' deviation: neither photograph's brightness tells it from the other.

    Parameters
    ----------
    n : int
    rng : numpy.random.Generator or int

    Returns
    -------
    (ndarray, shape (n, 8, 8); ndarray, shape (n,))

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or outside its range.

    Examples
    --------
    >>> from rmtstab.experiment.data import photographs
    >>> photographs(6, 0)[0].shape
    (6, 8, 8)
    """
    n, rng = _checks.integer("n", n, low=2, high=MOST), _checks.generator("rng", rng)
    from sklearn.datasets import load_sample_images

    pieces = []
    counts = ((n + 1) // 2, n // 2)
    for image, count in zip(load_sample_images().images, counts, strict=True):
        grey = np.asarray(image, dtype=float).mean(axis=2)
        small = grey[: grey.shape[0] // 4 * 4, : grey.shape[1] // 4 * 4]
        small = small.reshape(small.shape[0] // 4, 4, -1, 4).mean(axis=(1, 3))
        small = (small - small.mean()) / small.std()
        rows, columns = (rng.integers(side - SIDE + 1, size=count) for side in small.shape)
        pieces += [small[r : r + SIDE, c : c + SIDE] for r, c in zip(rows, columns, strict=True)]
    images = np.stack(pieces)
    labels = np.repeat([1.0, -1.0], counts)
    order = rng.permutation(n)
    return (images - images.mean(axis=0))[order], labels[order]


def textures(n: int, rng: np.random.Generator | int) -> tuple[FloatArray, FloatArray]:
    """Draw 8 × 8 gratings of random phase and wavelength, upright (+1) or lying (−1), in noise.

    Parameters
    ----------
    n : int
    rng : numpy.random.Generator or int

    Returns
    -------
    (ndarray, shape (n, 8, 8); ndarray, shape (n,))
        A grating's angle leaves its axis by up to 20°; amplitude 1, noise of deviation ½.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or outside its range.

    Examples
    --------
    >>> from rmtstab.experiment.data import textures
    >>> textures(6, 0)[0].shape
    (6, 8, 8)
    """
    n, rng = _checks.integer("n", n, low=2, high=MOST), _checks.generator("rng", rng)
    labels = rng.permutation(np.where(np.arange(n) % 2, 1.0, -1.0))
    angle = np.where(labels > 0, 0.0, np.pi / 2) + rng.uniform(-np.pi / 9, np.pi / 9, n)
    wave = 2.0 * np.pi / rng.uniform(3.0, 6.0, n)
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    along = np.cos(angle)[:, None, None] * x + np.sin(angle)[:, None, None] * y
    images = np.sin(wave[:, None, None] * along + rng.uniform(0, 2 * np.pi, n)[:, None, None])
    return images + 0.5 * rng.standard_normal(images.shape), labels


def windows(images: FloatArray) -> FloatArray:
    """Four overlapping 6 × 6 patches of each 8 × 8 image.

    Parameters
    ----------
    images : ndarray, shape (n, 8, 8)

    Returns
    -------
    ndarray, shape (n, 4, 36)

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.experiment.data import windows
    >>> windows(np.zeros((3, 8, 8))).shape
    (3, 4, 36)
    """
    images = _checks.array("images", images, ndim=3)
    if images.shape[1:] != (SIDE, SIDE):
        raise ValueError(f"images must have shape (n, {SIDE}, {SIDE}), got {images.shape}")
    views = np.lib.stride_tricks.sliding_window_view(
        images, (DIGITS_PATCH, DIGITS_PATCH), axis=(1, 2)
    )[:, ::DIGITS_STRIDE, ::DIGITS_STRIDE]
    return np.ascontiguousarray(views.reshape(len(images), -1, DIGITS_PATCH**2))


WINDOWED = {"photographs": photographs, "textures": textures}
# forget sets of each kind of data; of signal plus noise it is always balanced
KINDS = {
    "signal_plus_noise": ("balanced",), "digits": ("random", "sevens"),
    **dict.fromkeys(WINDOWED, ("random", "class")),
}  # fmt: skip
IMAGES = {name: ("random",) for name in ("digits", *WINDOWED)}


def check_spec(preset: Any, spec: Any, *, images: bool = False) -> np.random.Generator:
    """Make the generator of a data set, once its description is right.

    Parameters
    ----------
    preset : Preset
    spec : dict
        As for `load`.
    images : bool, default False
        Whether it must be a set of images, its forget set drawn at random.

    Returns
    -------
    numpy.random.Generator
    """
    kinds = IMAGES if _checks.flag("images", images) else KINDS
    _checks.instance("preset", preset, Preset)
    _checks.mapping("spec", spec, ("data", "index", "seed"))
    known = kinds[_checks.choice("spec['data']", spec["data"], list(kinds))]
    if len(known) > 1:
        _checks.mapping("spec", spec, ("forget",))
        _checks.choice("spec['forget']", spec["forget"], known)
    elif spec["data"] == "signal_plus_noise":
        _checks.mapping("spec", spec, ("snr",))
    words = [_checks.seed(f"spec['{key}']", spec[key]) for key in ("seed", "index")]
    return np.random.default_rng([*words, 17])


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
