"""Closed-form curvature of the two-layer ReLU CNN: exactly rank one per sample."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.kernels.gram import add_products

_PANEL = 256  # samples a panel; large enough for BLAS, small beside K


def cnn_outputs(weights: Any, patches: Any) -> FloatArray:
    """Evaluate ``f(W, x_i) = Σ_{j=±1} (j/m) Σ_r Σ_p relu⟨w_{j,r}, x_i^(p)⟩``.

    Parameters
    ----------
    weights : array_like, shape (2, m, dim)
        Filters; ``weights[0]`` enters with sign +1, ``weights[1]`` with −1.
    patches : array_like, shape (n, P, dim)

    Returns
    -------
    ndarray, shape (n,), float64

    Raises
    ------
    ValueError
        On shapes that do not fit, NaN or infinities.

    See Also
    --------
    cnn_gram : Gram matrix of the per-sample curvature factors.

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.curvature import cnn_outputs
    >>> cnn_outputs(np.array([[[1.0, 0.0]], [[0.0, 1.0]]]), np.array([[[3.0, 1.0]]]))
    array([2.])
    """
    weights, patches = _check_network(weights, patches)
    n, n_patches, dim = patches.shape
    active = np.maximum(patches.reshape(-1, dim) @ weights.reshape(-1, dim).T, 0.0)
    by_sample = active.reshape(n, n_patches, 2, -1).sum(axis=(1, 3))
    outputs: FloatArray = (by_sample[:, 0] - by_sample[:, 1]) / weights.shape[1]
    return outputs


def cnn_gram(
    weights: Any, patches: Any, labels: Any, loss: Literal["mse", "logistic"] = "mse"
) -> FloatArray:
    r"""Gram matrix of the exact per-sample curvature factors of a two-layer ReLU CNN.

    ``K_ik = √(ℓ''_i ℓ''_k) m⁻² Σ_pq (A_p A_qᵀ)_ik ⟨x_i^(p), x_k^(q)⟩``, with
    ``A_p`` the 0/1 activation masks (n × 2m). The network is piecewise linear
    in its weights, so almost everywhere ``H_i = ℓ''_i ∇f_i ∇f_iᵀ`` exactly and
    ``K_ik = ⟨z_i, z_k⟩`` with ``z_i = √ℓ''_i ∇f_i``. Patch and mask Grams are
    formed a panel at a time; no n × 2m·dim array of gradients exists.

    Parameters
    ----------
    weights : array_like, shape (2, m, dim)
        Filters of sign +1, then of sign −1.
    patches : array_like, shape (n, P, dim)
    labels : array_like, shape (n,)
        ±1.
    loss : {"mse", "logistic"}
        ``½(f − y)²`` (ℓ'' = 1) or ``log(1 + e^{−yf})`` (ℓ'' = p(1 − p)).

    Returns
    -------
    ndarray, shape (n, n), float64
        Symmetric positive semidefinite.

    Raises
    ------
    ValueError
        On shapes that do not fit, NaN, labels other than ±1, an unknown loss.

    Notes
    -----
    A pre-activation of exactly 0 counts as inactive, as in torch. Relative
    error about ``1e-15 · P²`` of the largest term; memory one n × n array and
    a panel.

    References
    ----------
    Kou et al., arXiv:2303.04145, for the network; the Gram form is derived in
    docs/theory.

    See Also
    --------
    kink_margin : how far the weights are from the nearest change of a mask.

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.curvature import cnn_gram
    >>> rng = np.random.default_rng(0)
    >>> K = cnn_gram(rng.normal(size=(2, 3, 5)), rng.normal(size=(4, 2, 5)), [1, -1, 1, -1])
    >>> K.shape, bool(np.linalg.eigvalsh(K).min() > -1e-12)
    ((4, 4), True)
    """
    weights, patches = _check_network(weights, patches)
    n, n_patches, dim = patches.shape
    labels = _checks.labels("labels", labels, n)
    _checks.choice("loss", loss, ("mse", "logistic"))
    scale = np.full(n, 1.0 / weights.shape[1])
    if loss == "logistic":
        decay = np.exp(-0.5 * np.abs(cnn_outputs(weights, patches)))
        scale *= decay / (1.0 + decay**2)  # √(p(1−p)) without overflow

    by_patch = np.ascontiguousarray(patches.transpose(1, 0, 2))
    # Counts up to 2²⁴ are exact in float32, at half the cost of float64.
    masks = (by_patch @ weights.reshape(-1, dim).T > 0).astype(np.float32)
    gram = np.empty((n, n))
    for first in range(0, n, _PANEL):
        rows, rest = slice(first, min(first + _PANEL, n)), slice(min(first + _PANEL, n), n)
        left, left_masks = (
            np.ascontiguousarray(x[:, rows]).reshape(-1, x.shape[2]) for x in (by_patch, masks)
        )
        size = rows.stop - first
        square = _fused(left, left, left_masks, left_masks, (n_patches, size, size))
        gram[rows, rows] = np.tril(square) + np.tril(square, -1).T  # symmetric to the bit
        if rest.start < n:
            shape = (n_patches, size, n - rest.start)
            gram[rows, rest] = _fused(left, by_patch[:, rest], left_masks, masks[:, rest], shape)
            gram[rest, rows] = gram[rows, rest].T
    gram *= scale[:, None]
    gram *= scale
    return gram


def _fused(
    left: FloatArray, right: FloatArray, left_masks: Any, right_masks: Any, shape: tuple[int, ...]
) -> FloatArray:
    """Sum ``masks · patches`` over pairs of patches; BLAS makes both Grams, one pass fuses them.

    ``left`` is (P·b, d); ``right`` is the same array, whose symmetric product costs half,
    or (P, k, d).
    """
    out = np.zeros(shape[1:])
    if right is left:
        square = (*shape[:2], *shape[:2])
        gram, counts = (left @ left.T).reshape(square), (left_masks @ left_masks.T).reshape(square)
        for q in range(shape[0]):
            add_products(
                np.ascontiguousarray(gram[:, :, q]), np.ascontiguousarray(counts[:, :, q]), out
            )
        return out
    for x, x_masks in zip(right, right_masks, strict=True):
        add_products((left @ x.T).reshape(shape), (left_masks @ x_masks.T).reshape(shape), out)
    return out


def kink_margin(weights: Any, patches: Any) -> float:
    r"""Distance, in weights, to the nearest kink: ``min |⟨w_r, x_i^(p)⟩| / ‖x_i^(p)‖``.

    No activation mask changes while every filter moves by less than this, so
    it bounds the regime in which the linearised dynamics are exact.

    Parameters
    ----------
    weights : array_like, shape (2, m, dim)
    patches : array_like, shape (n, P, dim)
        Patches that are exactly zero have no kink and do not count.

    Returns
    -------
    float
        In the units of a filter's norm; ``inf`` if every patch is zero.

    Raises
    ------
    ValueError
        On shapes that do not fit, NaN or infinities.

    Examples
    --------
    >>> from rmtstab.curvature import kink_margin
    >>> kink_margin([[[1.0, 0.0]], [[0.0, 2.0]]], [[[3.0, 4.0]]])
    0.6
    """
    weights, patches = _check_network(weights, patches)
    rows = patches.reshape(-1, patches.shape[2])
    norms = np.linalg.norm(rows, axis=1)
    rows, norms = rows[norms > 0], norms[norms > 0]
    distances = np.abs(rows @ weights.reshape(-1, rows.shape[1]).T) / norms[:, None]
    return float(distances.min(initial=np.inf))


def _check_network(weights: Any, patches: Any) -> tuple[FloatArray, FloatArray]:
    weights = _checks.array("weights", weights, ndim=3)
    patches = _checks.array("patches", patches, ndim=3)
    if weights.shape[0] != 2 or weights.shape[1] == 0:
        raise ValueError(f"weights must have shape (2, m >= 1, dim), got {weights.shape}")
    if 0 in patches.shape or patches.shape[2] != weights.shape[2]:
        raise ValueError(
            f"patches must have shape (n, P, dim={weights.shape[2]}), got {patches.shape}"
        )
    return weights, patches
