"""Curvatures of two sets of samples: their means, Gram matrix, coherence and coordinates."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import Coherence, FloatArray
from rmtstab.curvature import coherence as _coherence
from rmtstab.curvature.coherence_map import CoherenceMap
from rmtstab.curvature.factors import ReducedFactors
from rmtstab.curvature.mix_basis import MixBasis

SMALLEST, LARGEST = 1e-75, 1e75  # of the singular values: fourth powers stay floats
BASIS_BYTES = 1100.0  # of an eigenbasis without its numbers: object, dictionary, array headers
CACHE_BYTES = 2e8  # memory of the kept eigenbases, one at least; and of a kept S


class SampleCurvatures:
    """Curvatures of a retain and a forget set in the coordinates of their common range.

    The base of `rmtstab.UnlearningProblem`: what can be said of the samples before any
    hyper-parameter of the dynamics is named.

    Attributes
    ----------
    factors : ReducedFactors
        A, the columns of each sample, and the tolerance that decided the rank.
    n_retain, n_forget : int
    gradients : ndarray, shape (n, r + complement), or None
        Per-sample gradients at the trained point, where they were given.
    complement : int
        Number of orthonormal coordinates that hold what of the gradients lies outside
        the range.
    """

    def __init__(
        self, factors: ReducedFactors, n_retain: int, gradients: FloatArray | None = None
    ) -> None:
        n = factors.n_samples
        top = float(factors.singular_values.max(initial=0.0))
        if top and not SMALLEST <= top <= LARGEST:
            raise ValueError(
                f"factors must have a largest singular value in [{SMALLEST:g}, {LARGEST:g}], the "
                "roots of the gram matrix or of retain and forget alike (the "
                f"second moment holds its fourth power), got {top:.3g}; rescale the loss"
            )
        self.factors = factors
        self.n_retain = _checks.integer("n_retain", n_retain, low=1, high=n, high_label="n")
        self.n_forget = n - self.n_retain
        self.gradients = gradients
        self.complement = 0 if gradients is None else gradients.shape[1] - factors.rank
        self._means: tuple[FloatArray, FloatArray] | None = None
        self._coherence: tuple[CoherenceMap, FloatArray] | None = None
        self._bases: OrderedDict[float, MixBasis] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.factors, self.n_retain, self.gradients)

    @property
    def rank(self) -> int:
        """Dimension r of the range."""
        return self.factors.rank

    @property
    def mean_curvatures(self) -> tuple[FloatArray, FloatArray]:
        """``(H_R, H_F)`` in the problem's coordinates, each (r, r)."""
        if self._means is None:
            a, split = self.factors.matrix, int(self.factors.offsets[self.n_retain])
            retain = a[:, :split] @ a[:, :split].T / self.n_retain
            forget = a[:, split:] @ a[:, split:].T / max(self.n_forget, 1)
            self._means = (retain, forget)
        return self._means

    def basis(self, alpha: float) -> MixBasis:
        """Eigenbasis of ``D(alpha)``, kept: all batch sizes and step sizes share it.

        Parameters
        ----------
        alpha : float in [0, 1]

        Returns
        -------
        MixBasis
        """
        alpha = self.check_alpha(alpha)
        with self._lock:
            if alpha in self._bases:
                self._bases.move_to_end(alpha)
                return self._bases[alpha]
        basis = MixBasis.build(self.factors, self.n_retain, alpha)
        size = BASIS_BYTES + 8.0 * (basis.rows.size + 3 * basis.vectors.size)
        with self._lock:
            self._bases[alpha] = basis
            while len(self._bases) > max(1, int(CACHE_BYTES / size)):
                self._bases.popitem(last=False)
        return basis

    def gram(self) -> FloatArray:
        """``ZᵀZ``, shape (N, N), in the units of the Hessians."""
        result: FloatArray = self.factors.matrix.T @ self.factors.matrix
        return result

    def coherence(
        self, alpha: float | None = None, *, matrix_free: bool | None = None
    ) -> Coherence:
        """Coherence of the retain set, the forget set, between them, and in total.

        Parameters
        ----------
        alpha : float in [0, 1], optional
            Mixing of the unlearning coherence ``σ_u(α)``; NaN without.
        matrix_free : bool, optional
            Keep nothing of size n × n and recompute tiles of ``|ZᵀZ|`` at each pass; default:
            where the one n × n array would exceed 4 GB (n > 22,360).

        Returns
        -------
        Coherence

        Raises
        ------
        ValueError
            If ``alpha`` lies outside [0, 1].

        References
        ----------
        Dexter et al., arXiv:2401.12332, Definition 1; the cross and unlearning
        axes are derived in docs/theory/coherence.

        Examples
        --------
        >>> import rmtstab as rs
        >>> rs.UnlearningProblem.from_factors([[1.0, 0.0], [0.0, 1.0]]).coherence().retain
        1.0
        """
        if alpha is not None:
            alpha = self.check_alpha(alpha)
        return _coherence.axes(*self._coherence_parts(matrix_free), self.n_retain, alpha)

    def unlearning_coherence(self, alphas: Any, *, matrix_free: bool | None = None) -> FloatArray:
        """Unlearning coherence ``σ_u(α) = λ_max(S^α)/max_i w_i λ_max(H_i)`` at all mixings at once.

        Parameters
        ----------
        alphas : array_like
            Mixings in [0, 1], any shape.
        matrix_free : bool, optional
            As in `coherence`.

        Returns
        -------
        ndarray, float64
            Of the shape of ``alphas``; NaN where no weighted sample has curvature.

        Raises
        ------
        ValueError
            If a mixing lies outside [0, 1], or is positive without a forget set.

        Notes
        -----
        One subspace serves every mixing, so the passes over S are those of the slowest.

        References
        ----------
        Derived in docs/theory/coherence.

        See Also
        --------
        coherence_contributions : each sample's share.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors(np.ones((3, 2)), np.ones((2, 2)))
        >>> problem.unlearning_coherence([0.0, 0.4, 1.0]).round(6)
        array([3., 5., 2.])
        """
        given = _checks.array("alphas", alphas)
        mixings = np.array([self.check_alpha(float(a)) for a in given.ravel()])
        parts = self._coherence_parts(matrix_free)
        return _coherence.unlearning(*parts, self.n_retain, mixings)[0].reshape(given.shape)

    def coherence_contributions(
        self, alpha: float, *, matrix_free: bool | None = None
    ) -> tuple[float, FloatArray]:
        """``λ_max(S^α)`` and each sample's share of it: the squared Perron vector, summing to 1.

        Parameters
        ----------
        alpha : float in [0, 1]
        matrix_free : bool, optional
            As in `coherence`.

        Returns
        -------
        value : float
            In the units of the Hessians.
        shares : ndarray, shape (n,), float64
        """
        parts = self._coherence_parts(matrix_free)
        mixing = np.array([self.check_alpha(alpha)])
        _, roots, vectors = _coherence.unlearning(*parts, self.n_retain, mixing)
        return float(roots[0]), vectors[0] ** 2 / float(vectors[0] @ vectors[0])

    def _coherence_parts(self, matrix_free: bool | None) -> tuple[CoherenceMap, FloatArray]:
        """S and each sample's ``λ_max(H_i)``; kept for the next question while S is small."""
        if matrix_free is not None:
            matrix_free = _checks.flag("matrix_free", matrix_free)
        if not matrix_free and self._coherence is not None:
            return self._coherence
        s = CoherenceMap(self.factors.matrix, self.factors.offsets, matrix_free)
        parts = s, _coherence.per_sample(self.factors.matrix, self.factors.offsets)[0]
        if matrix_free is None and s.stored is not None and s.stored.nbytes <= CACHE_BYTES:
            self._coherence = parts
        return parts

    def from_sample_space(self, coefficients: Any) -> FloatArray:
        """Coordinates of the displacement ``w = Z u``: ``A u``, with ``‖A u‖ = ‖Z u‖``.

        Parameters
        ----------
        coefficients : array_like, shape (N,)
            u, one number per column of Z (per sample and output), retain first.

        Returns
        -------
        ndarray, shape (r,), float64
        """
        u = self._sample_vector("coefficients", coefficients)
        result: FloatArray = self.factors.matrix @ u
        return result

    def from_predictions(self, predictions: Any) -> FloatArray:
        """Coordinates of the range component of w, from ``Zᵀw``.

        Parameters
        ----------
        predictions : array_like, shape (N,)
            ``Zᵀ w``, retain samples first.

        Returns
        -------
        ndarray, shape (r,), float64
            ``S⁻¹ Vᵀ Zᵀ w = Uᵀ w``; its norm is that of w projected on the range.
        """
        p = self._sample_vector("predictions", predictions)
        result: FloatArray = (self.factors.matrix @ p) / self.factors.singular_values**2
        return result

    def sample_gradients(self, residuals: Any) -> FloatArray:
        """Per-sample gradients ``g_i = Z_i ε_i`` in the problem's coordinates.

        Parameters
        ----------
        residuals : array_like, shape (N,)
            ε, one number per column of Z; for half squared error ``f − y``.

        Returns
        -------
        ndarray, shape (n, r), float64
        """
        along = (self.factors.matrix * self._sample_vector("residuals", residuals)).T
        sums = np.concatenate([np.zeros((1, self.rank)), np.cumsum(along, axis=0)])
        offsets = self.factors.offsets
        if len(offsets) - 1 == len(along):
            return np.ascontiguousarray(along)
        result: FloatArray = sums[offsets[1:]] - sums[offsets[:-1]]
        return result

    def check_alpha(self, alpha: Any) -> float:
        """Mixing in [0, 1], or raise.

        Parameters
        ----------
        alpha : float

        Returns
        -------
        float

        Raises
        ------
        TypeError, ValueError
            If it is not a number in [0, 1], or positive without a forget set.
        """
        mixing = _checks.real("alpha", alpha, low=0.0, high=1.0)
        if mixing > 0.0 and self.n_forget == 0:
            raise ValueError(f"alpha must be 0 when there is no forget set, got {mixing}")
        return mixing

    def _sample_vector(self, name: str, value: Any) -> FloatArray:
        width = self.factors.matrix.shape[1]
        vector = _checks.array(name, value).reshape(-1)
        if vector.shape != (width,):
            raise ValueError(f"{name} must hold {width} numbers, got shape {np.shape(value)}")
        return vector
