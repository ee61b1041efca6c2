r"""The second-moment operator ``Φ(M) = E[Ĵ M Ĵᵀ]`` in the eigenbasis of the mix-Hessian.

With ``D = Q diag(μ) Qᵀ`` and ``j = 1 − η(μ + λ)``,

    Φ(M) = (j jᵀ) ∘ M + η² N(M),
    N(M) = Σ_s a_s² [ c_s Σ_{i∈s} H_i M H_i − e_s n_s H_s M H_s ].

The fixed-size terms of both sets are one term: with ``G = (1−α)H_R``,
``αH_F = G − D`` and ``κ_s = e_s n_s``,

    κ_R G M G + κ_F (G−D) M (G−D) = κ E M E + (κ_R κ_F/κ) D M D,
    κ = κ_R + κ_F,  E = G − (κ_F/κ) D,

where ``D M D`` is elementwise and ``E M E = Aᵀ w (A M) E`` shares its first
product with the sum over samples: three dense products in all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.curvature.factors import IntArray, ReducedFactors
from rmtstab.dynamics.sampling import Pair, noise_coefficients
from rmtstab.kernels.second_moment import block_noise, diagonal_noise

EMPTY = np.zeros(0)


@dataclass(frozen=True)
class MixBasis:
    """Eigenbasis of ``D(α)``; the first ``n_active`` vectors span the weighted sets' range.

    Attributes
    ----------
    alpha : float
    vectors : ndarray, shape (r, r)
        Columns, in the problem's coordinates.
    mix : ndarray, shape (r,)
        Eigenvalues μ of D.
    n_active : int
        r for 0 < α < 1; at α = 0 or 1 the rank of the only set with weight.
    rows : ndarray, shape (N, r)
        Factors in this basis, one row per column of Z.
    retain, forget : ndarray, shape (r, r)
        ``H_R`` and ``H_F`` in this basis.
    """

    alpha: float
    vectors: FloatArray
    mix: FloatArray
    n_active: int
    rows: FloatArray
    retain: FloatArray
    forget: FloatArray

    @classmethod
    def build(
        cls,
        factors: ReducedFactors,
        n_retain: int,
        alpha: float,
        means: tuple[FloatArray, FloatArray],
    ) -> MixBasis:
        """Diagonalise ``D(α) = (1−α)H_R − αH_F``, given ``(H_R, H_F)``."""
        r = factors.rank
        n_active = r
        split = int(factors.offsets[n_retain])
        if alpha in (0.0, 1.0):
            part = factors.matrix[:, :split] if alpha == 0.0 else factors.matrix[:, split:]
            vectors, singular = _left_vectors(part)
            top = singular[0] if len(singular) else 0.0
            tolerance = max(factors.rank_tolerance, max(part.shape) * np.finfo(float).eps)
            n_active = int(np.count_nonzero(singular > tolerance * top))
            n = n_retain if alpha == 0.0 else factors.n_samples - n_retain
            mix = np.zeros(r)
            mix[:n_active] = (1.0 if alpha == 0.0 else -1.0) * singular[:n_active] ** 2 / n
        else:
            mix, vectors = np.linalg.eigh((1.0 - alpha) * means[0] - alpha * means[1])
        rows = np.ascontiguousarray(factors.matrix.T @ vectors)
        turned = [vectors.T @ h @ vectors for h in means]
        return cls(alpha, vectors, mix, n_active, rows, turned[0], turned[1])

    def padded(self, extra: int) -> MixBasis:
        """Return the same basis with ``extra`` more coordinates, which no curvature sees."""
        if not extra:
            return self

        def grown(block: FloatArray, down: int) -> FloatArray:
            return np.pad(block, ((0, down), (0, extra)))

        vectors = np.eye(len(self.mix) + extra)
        vectors[:-extra, :-extra] = self.vectors
        return MixBasis(
            self.alpha,
            vectors,
            np.pad(self.mix, (0, extra)),
            self.n_active,
            grown(self.rows, 0),
            grown(self.retain, extra),
            grown(self.forget, extra),
        )


def _left_vectors(part: FloatArray) -> tuple[FloatArray, FloatArray]:
    """All r left singular vectors, and the singular values."""
    r, width = part.shape
    if width == 0 or r == 0:
        return np.eye(r), np.zeros(0)
    vectors, singular, _ = np.linalg.svd(part, full_matrices=width < r)
    return vectors, singular


@dataclass(frozen=True)
class NoiseMap:
    """The noise ``N(M)``, without its elementwise part ``shift · D M D``.

    Attributes
    ----------
    rows : ndarray, shape (N, r)
        Weighted samples' factors.
    offsets : ndarray, shape (n + 1,), int64
    weights : ndarray, shape (n,)
        ``a_s² c_s`` of each sample.
    row_weights : ndarray, shape (N,)
        ``κ w`` with ``E = rowsᵀ w rows``; empty for Bernoulli sampling.
    square : ndarray, shape (r, r)
        E; empty for Bernoulli sampling.
    kappa : float
    shift : float
        ``−κ_R κ_F/κ``.
    """

    rows: FloatArray
    offsets: IntArray
    weights: FloatArray
    row_weights: FloatArray
    square: FloatArray
    kappa: float
    shift: float

    @classmethod
    def build(
        cls,
        basis: MixBasis,
        offsets: IntArray,
        sizes: tuple[int, int],
        batches: Pair,
        sampling: str,
        active: bool,
    ) -> NoiseMap:
        """Collect the coefficients of one scheme; ``active`` restricts to the weighted range."""
        n_retain, n = sizes[0], sizes[0] + sizes[1]
        split = int(offsets[n_retain])
        a = (1.0 - basis.alpha, basis.alpha)
        pairs = [noise_coefficients(sizes[s], batches[s], sampling) for s in (0, 1)]
        weights = np.empty(n)
        weights[:n_retain] = a[0] ** 2 * pairs[0][0]
        weights[n_retain:] = a[1] ** 2 * pairs[1][0]
        kappas = [pairs[s][1] * sizes[s] if a[s] > 0.0 else 0.0 for s in (0, 1)]
        kappa = kappas[0] + kappas[1]
        first, last = (0 if a[0] else n_retain), (n if a[1] else n_retain)
        columns = basis.n_active if active else basis.rows.shape[1]
        rows = basis.rows[offsets[first] : offsets[last], :columns]
        row_weights, square, shift = EMPTY, np.zeros((0, 0)), 0.0
        if kappa > 0.0:
            theta = kappas[1] / kappa
            shift = -kappas[0] * kappas[1] / kappa
            w = np.empty(len(basis.rows))
            w[:split] = (1.0 - theta) * a[0] / sizes[0]
            w[split:] = theta * a[1] / max(sizes[1], 1)
            square = (1.0 - theta) * a[0] * basis.retain + theta * a[1] * basis.forget
            square = np.ascontiguousarray(square[:columns, :columns])
            row_weights = kappa * w[offsets[first] : offsets[last]]
        return cls(
            np.ascontiguousarray(rows),
            np.ascontiguousarray(offsets[first : last + 1] - offsets[first]),
            np.ascontiguousarray(weights[first:last]),
            row_weights,
            square,
            kappa,
            shift,
        )

    def apply(self, m: FloatArray) -> FloatArray:
        """``Σ weights_i H_i M H_i − κ E M E``; correct for non-symmetric M too."""
        n, r = self.rows.shape
        if not n:
            return np.zeros_like(m)
        moved = self.rows @ m
        fused = self.kappa > 0.0 and n <= 2 * r
        split: FloatArray | None = None
        if self.kappa > 0.0 and not fused:
            split = self.square @ m @ self.square
        out = np.empty_like(self.rows)
        subtract = self._sample_weights if fused and self._rank_one else EMPTY
        if self._rank_one:
            diagonal_noise(self.rows, moved, self.weights, subtract, out)
        else:
            block_noise(self.rows, moved, self.offsets, self.weights, EMPTY, out)
            if fused:
                moved *= self.row_weights[:, None]
        if fused:
            out -= moved @ self.square
        result: FloatArray = self.rows.T @ out
        if split is not None:
            result -= self.kappa * split
        return result

    @property
    def _rank_one(self) -> bool:
        return len(self.offsets) - 1 == len(self.rows)

    @property
    def _sample_weights(self) -> FloatArray:
        return self.row_weights


@dataclass(frozen=True)
class SecondMoment:
    """A self-adjoint positive map ``X ↦ W ∘ X + η² (S ∘ N(S ∘ X))``, S optional.

    ``W`` and ``S`` are elementwise. The growth factor has ``W = j jᵀ`` and no S;
    critical step sizes and momentum use other weights (docs/theory/critical_values).
    """

    noise: NoiseMap
    elementwise: FloatArray
    gain: float
    scale: FloatArray | None = None

    @property
    def side(self) -> int:
        """Side r of the matrices on which the map acts."""
        return int(self.elementwise.shape[0])

    def __call__(self, x: FloatArray) -> FloatArray:
        """Apply the map once."""
        inner = x if self.scale is None else self.scale * x
        out = self.noise.apply(inner)
        out *= self.gain if self.scale is None else self.gain * self.scale
        out += self.elementwise * x
        return out
