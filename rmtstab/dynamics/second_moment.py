r"""The second-moment operator ``Φ(M) = E[Ĵ M Ĵᵀ]`` in the eigenbasis of the mix-Hessian.

With ``D = Q diag(μ) Qᵀ`` and ``j = 1 − η(μ + λ)``,

    Φ(M) = (j jᵀ) ∘ M + η² N(M),
    N(M) = Σ_s a_s² [ c_s Σ_{i∈s} H_i M H_i − e_s n_s H_s M H_s ].

The fixed-size terms of both sets are one term: with ``G = (1−α)H_R``,
``αH_F = G − D`` and ``κ_s = e_s n_s``,

    κ_R G M G + κ_F (G−D) M (G−D) = κ E M E + (κ_R κ_F/κ) D M D,
    κ = κ_R + κ_F,  E = G − (κ_F/κ) D,

where ``D M D`` is elementwise and ``E M E = Aᵀ w (A M) E`` shares its first
product with the sum over samples: three dense products in all. As ``E = (κ_R/κ) D + αH_F``
is a diagonal and a term of the forget set's rank, ``E M E`` costs next to nothing where that
set has few rows (`Split`; likewise a retain set with few).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from rmtstab._results import FloatArray
from rmtstab.curvature.factors import IntArray
from rmtstab.curvature.mix_basis import MixBasis
from rmtstab.kernels.second_moment import block_noise, diagonal_noise
from rmtstab.kernels.symmetric import mirror
from rmtstab.sampling import Pair, Scheme

EMPTY = np.zeros(0)
PANELS = 8  # of a symmetric product: 9/16 of the full product's work
FUSED = 1.15  # rows per dimension up to which that pays
SMALL = 128  # side up to which a symmetric argument is treated like any other
FEW = 0.4  # rows per dimension up to which a term of their rank costs less than E M E
LARGER = 2.0  # times E's trace: most that its two terms may have, or they cancel


@dataclass(frozen=True)
class Split:
    """``E = diag(e) + w LᵀL`` with few rows L, those of one set.

    Attributes
    ----------
    diagonal : ndarray, shape (r,)
        e.
    rows : ndarray, shape (q, r)
        L.
    weight : float
        w.
    start : int or None
        Where L begins among the samples' rows; None where it is none of them.
    """

    diagonal: FloatArray
    rows: FloatArray
    weight: float
    start: int | None

    @classmethod
    def of(cls, basis: MixBasis, theta: float, columns: int) -> Split | None:
        """E as a multiple of D and a term of one set's rank; None where that does not pay.

        ``E = (1−θ)(1−α)H_R + θαH_F`` is ``(1−θ)D + αH_F`` and ``(1−α)H_R − θD`` too.

        Parameters
        ----------
        basis : MixBasis
        theta : float
            In [0, 1].
        columns : int
            Of its vectors, the first.

        Returns
        -------
        Split or None
        """
        if columns <= SMALL:
            return None
        sets = np.split(basis.rows[:, :columns], [basis.split])
        weights = [
            a / max(n, 1)
            for a, n in zip((1.0 - basis.alpha, basis.alpha), basis.sizes, strict=True)
        ]
        traces = [w * float(np.vdot(rows, rows)) for w, rows in zip(weights, sets, strict=True)]
        size = (1.0 - theta) * traces[0] + theta * traces[1]
        for s, multiple in ((1, 1.0 - theta), (0, -theta)):
            cancels = max(traces[s], abs(multiple) * sum(traces)) > LARGER * size
            if len(sets[s]) <= FEW * columns and not cancels:
                rows = np.ascontiguousarray(sets[s])
                start = (0, basis.split)[s]
                return cls(multiple * basis.mix[:columns], rows, weights[s], start)
        return None

    def times(self, factor: float) -> Split:
        """Of ``factor · E``, for the noise of the other set alone.

        Parameters
        ----------
        factor : float

        Returns
        -------
        Split
        """
        return Split(factor * self.diagonal, self.rows, factor * self.weight, None)

    def square(self) -> FloatArray:
        """E."""
        result: FloatArray = self.weight * (self.rows.T @ self.rows)
        result.flat[:: len(result) + 1] += self.diagonal
        return result

    def half(self, along: FloatArray) -> FloatArray:
        """Z with ``E M E = (e eᵀ) ∘ M + LᵀZ + ZᵀL``, M symmetric.

        Parameters
        ----------
        along : ndarray, shape (q, r)
            ``L M``.

        Returns
        -------
        ndarray, shape (q, r), float64
        """
        result: FloatArray = (0.5 * self.weight * along @ self.rows.T) @ self.rows
        result += self.diagonal * along
        result *= self.weight
        return result

    def restricted(self, keep: NDArray[np.int64]) -> Split:
        """The same on some of the basis vectors.

        Parameters
        ----------
        keep : ndarray of int

        Returns
        -------
        Split
        """
        rows = np.ascontiguousarray(self.rows[:, keep])
        return Split(self.diagonal[keep], rows, self.weight, self.start)


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
    split : Split, optional
        Of E, where that is cheaper.
    """

    rows: FloatArray
    offsets: IntArray
    weights: FloatArray
    row_weights: FloatArray
    square: FloatArray
    kappa: float
    shift: float
    split: Split | None = None

    @classmethod
    def build(
        cls, basis: MixBasis, offsets: IntArray, batches: Pair, scheme: Scheme, active: bool
    ) -> NoiseMap:
        """Collect the coefficients of one scheme.

        Parameters
        ----------
        basis : MixBasis
        offsets : ndarray, shape (n + 1,), int64
            First factor row of each sample.
        batches : (float, float)
        scheme : Scheme
        active : bool
            Restrict to the weighted sets' range.

        Returns
        -------
        NoiseMap
        """
        sizes = basis.sizes
        n_retain, n = sizes[0], sizes[0] + sizes[1]
        a = (1.0 - basis.alpha, basis.alpha)
        pairs = [scheme.coefficients(sizes[s], batches[s]) for s in (0, 1)]
        weights = np.empty(n)
        weights[:n_retain] = a[0] ** 2 * pairs[0][0]
        weights[n_retain:] = a[1] ** 2 * pairs[1][0]
        kappas = [pairs[s][1] * sizes[s] if a[s] > 0.0 else 0.0 for s in (0, 1)]
        kappa = kappas[0] + kappas[1]
        first, last = (0 if a[0] else n_retain), (n if a[1] else n_retain)
        columns = basis.n_active if active else basis.rows.shape[1]
        rows = basis.rows[offsets[first] : offsets[last], :columns]
        row_weights, square, shift, split = EMPTY, np.zeros((0, 0)), 0.0, None
        if kappa > 0.0 and 0.0 in a:  # one set only: E = ±D
            kappa, shift = 0.0, -kappa
        elif kappa > 0.0:
            theta = kappas[1] / kappa
            shift = -kappas[0] * kappas[1] / kappa
            w = basis.row_weights(1.0 - theta, theta)[offsets[first] : offsets[last]]
            row_weights = kappa * w
            split = Split.of(basis, theta, columns)
            if split is None:
                scaled = np.sqrt(w)[:, None] * rows
                square = scaled.T @ scaled
            else:
                square = split.square()
        return cls(
            np.ascontiguousarray(rows),
            np.ascontiguousarray(offsets[first : last + 1] - offsets[first]),
            np.ascontiguousarray(weights[first:last]),
            row_weights,
            square,
            kappa,
            shift,
            split,
        )

    def summed(self) -> NoiseMap:
        """``Σ weights_i H_i M H_i`` alone: what cancels against the means' term.

        Returns
        -------
        NoiseMap
        """
        return replace(
            self, row_weights=EMPTY, square=np.zeros((0, 0)), kappa=0.0, shift=0.0, split=None
        )

    def cancelled(self, m: FloatArray) -> float:
        """``κ⟨M, E M E⟩``, which the samples' sum loses to the means' term.

        Parameters
        ----------
        m : ndarray, shape (r, r)
            Symmetric.

        Returns
        -------
        float
        """
        if not self.kappa:
            return 0.0
        moved = m @ self.square
        return self.kappa * float(np.vdot(moved.T, moved))

    def of_identity(self) -> tuple[FloatArray, FloatArray]:
        """Diagonals of ``Σ weights_i H_i²`` and of ``N(I)`` without its elementwise part.

        Returns
        -------
        (ndarray, ndarray), shape (r,)
        """
        r = self.rows.shape[1]
        summed = np.zeros(r)
        widths = np.diff(self.offsets)
        if len(widths) == len(self.rows):
            squares = np.square(self.rows)
            summed += (self.weights * squares.sum(axis=1)) @ squares
            widths = widths[:0]
        for width in np.unique(widths):  # samples of one width together
            some = widths == width
            rows = self.rows[np.repeat(some, widths)].reshape(-1, int(width), r)
            turned = (rows @ rows.transpose(0, 2, 1)) @ rows
            summed += np.einsum("i,icr,icr->r", self.weights[some], rows, turned)
        means = self.kappa * np.einsum("pq,pq->p", self.square, self.square) if self.kappa else 0.0
        return summed, summed - means

    def turned(self, turn: FloatArray, part: NDArray[np.bool_]) -> NoiseMap:
        """The same with some of the basis vectors turned among themselves.

        Parameters
        ----------
        turn : ndarray, shape (k, k)
            Orthogonal.
        part : ndarray of bool, shape (r,)
            The k vectors.

        Returns
        -------
        NoiseMap
        """
        rows, square = self.rows.copy(), self.square.copy()
        rows[:, part] = rows[:, part] @ turn
        if self.kappa:
            square[:, part] = square[:, part] @ turn
            square[part] = turn.T @ square[part]
        return replace(self, rows=rows, square=square, split=None)

    def restricted(self, keep: NDArray[np.int64]) -> NoiseMap:
        """The same on some of the basis vectors.

        Parameters
        ----------
        keep : ndarray of int

        Returns
        -------
        NoiseMap
        """
        square = self.square[np.ix_(keep, keep)] if self.kappa else self.square
        return replace(
            self,
            rows=np.ascontiguousarray(self.rows[:, keep]),
            square=np.ascontiguousarray(square),
            split=self.split and self.split.restricted(keep),
        )

    def apply(self, m: FloatArray) -> FloatArray:
        """``Σ weights_i H_i M H_i − κ E M E``; correct for non-symmetric M too.

        Parameters
        ----------
        m : ndarray, shape (r, r)

        Returns
        -------
        ndarray, shape (r, r), float64
        """
        n, r = self.rows.shape
        if not n:
            return np.zeros_like(m)
        moved = self.rows @ m
        fused = self.kappa > 0.0 and n <= 2 * r
        split: FloatArray | None = None
        if self.kappa > 0.0 and not fused:
            split = self.square @ m @ self.square
        out = self._weigh(moved, self.row_weights if fused else EMPTY)
        if fused:
            out -= moved @ self.square
        result: FloatArray = self.rows.T @ out
        if split is not None:
            result -= self.kappa * split
        return result

    def apply_symmetric(self, m: FloatArray) -> FloatArray:
        """The same for a symmetric M, at about half the work, symmetric to the last digit.

        ``A M A^T`` is ``A T A^T`` and its transpose, T the upper triangle of M with half
        its diagonal; of the two outer products only the upper triangles are formed.

        Parameters
        ----------
        m : ndarray, shape (r, r)
            Symmetric.

        Returns
        -------
        ndarray, shape (r, r), float64
        """
        n, r = self.rows.shape
        if r <= SMALL or not n:
            result = self.apply(m)
            mirror(result)
            return result
        means: list[tuple[FloatArray, FloatArray]] = []  # P, Q: E M E is ΣPᵀQ + (e eᵀ) ∘ M
        if self.kappa > 0.0 and self.split is None and n <= FUSED * r:
            # the sample sum's first product serves twice
            along = self.rows @ m
            out = self._weigh(along, self.row_weights)
            out -= along @ self.square
        elif self.split is None:
            out = self._weigh(_times_half(self.rows, m), EMPTY, folded=True)
            if self.kappa > 0.0:
                means = [(m @ self.square, self.square)]
        else:
            out, means = self._split_products(m, self.split)
        result = np.empty_like(m)
        edges = np.linspace(0, r, PANELS + 1).astype(np.int64)
        for first, last in itertools.pairwise(edges):
            panel = self.rows[:, first:last].T @ out[:, first:]
            for p, q in means:
                panel -= self.kappa * (p[:, first:last].T @ q[:, first:])
            if self.split is not None:
                e = self.split.diagonal
                panel -= (self.kappa * e[first:last, None]) * m[first:last, first:] * e[first:]
            result[first:last, first:] = panel
        mirror(result)
        return result

    def _split_products(
        self, m: FloatArray, split: Split
    ) -> tuple[FloatArray, list[tuple[FloatArray, FloatArray]]]:
        """The samples' rows of `apply_symmetric`, and the products of the means beside them."""
        few, start = split.rows, split.start
        along = few @ m
        half = split.half(along)
        if start is None:
            out = self._weigh(_times_half(self.rows, m), EMPTY, folded=True)
            return out, [(few, half), (half, few)]
        # L's rows are samples' rows: their first product is there, and LᵀZ joins their last
        part = slice(start, start + len(few))
        moved = np.empty_like(self.rows)
        moved[part] = 0.5 * along
        for others in (slice(0, part.start), slice(part.stop, len(moved))):
            if others.start < others.stop:
                moved[others] = _times_half(self.rows[others], m)
        out = self._weigh(moved, EMPTY, folded=True)
        out[part] -= self.kappa * half
        return out, [(half, few)]

    def _weigh(self, moved: FloatArray, subtract: FloatArray, folded: bool = False) -> FloatArray:
        """Rows of ``weights_i B_i A_i`` with ``B_i = moved_i A_iᵀ``, plus its transpose if folded.

        Scales ``moved`` by ``subtract``, a weight per row, unless that is empty.
        """
        (n, r), samples = self.rows.shape, len(self.offsets) - 1
        out = np.empty_like(self.rows)
        if samples == n:
            weights = 2.0 * self.weights if folded else self.weights
            diagonal_noise(self.rows, moved, weights, subtract, out)
            return out
        if np.ptp(np.diff(self.offsets)) == 0:  # equal widths: small dense products
            shape = (samples, n // samples, r)
            blocks = self.rows.reshape(shape)
            inner = moved.reshape(shape) @ blocks.transpose(0, 2, 1)
            if folded:
                inner += inner.transpose(0, 2, 1).copy()
            inner *= self.weights[:, None, None]
            np.matmul(inner, blocks, out=out.reshape(shape))
        else:
            block_noise(self.rows, moved, self.offsets, self.weights, folded, out)
        if len(subtract):
            moved *= subtract[:, None]
        return out


def _times_half(rows: FloatArray, m: FloatArray) -> FloatArray:
    """``rows T``: T is the upper triangle of m with half its diagonal."""
    from scipy.linalg.blas import dtrmm

    half = m.copy()
    half.flat[:: len(m) + 1] *= 0.5
    # Fortran's view of a C array is its transpose: Tᵀ rowsᵀ, Tᵀ lower triangular
    result: FloatArray = dtrmm(1.0, half.T, rows.T, lower=1).T
    return result


class Noise(Protocol):
    """What a second moment needs of its noise."""

    @property
    def shift(self) -> float:
        """Factor of ``D M D``, which belongs to the noise and is left to an elementwise term."""

    def apply(self, m: FloatArray) -> FloatArray:
        """``N(M)``.

        Parameters
        ----------
        m : ndarray, shape (r, r)

        Returns
        -------
        ndarray, shape (r, r), float64
        """

    def apply_symmetric(self, m: FloatArray) -> FloatArray:
        """``N(M)`` of a symmetric M.

        Parameters
        ----------
        m : ndarray, shape (r, r)
            Symmetric.

        Returns
        -------
        ndarray, shape (r, r), float64
        """


@dataclass(frozen=True)
class SecondMoment:
    """A self-adjoint positive map ``X ↦ W ∘ X + η² (S ∘ N(S ∘ X))``, S optional.

    ``W`` and ``S`` are elementwise. The growth factor has ``W = j jᵀ`` and no S;
    critical step sizes and momentum use other weights (docs/theory/critical_values).
    """

    noise: Noise
    elementwise: FloatArray
    gain: float
    scale: FloatArray | None = None

    @classmethod
    def of(cls, noise: Noise, mix: FloatArray, multipliers: FloatArray, gain: float) -> Self:
        """Φ of the plain update.

        Parameters
        ----------
        noise : Noise
        mix, multipliers : ndarray, shape (r,)
            μ and j.
        gain : float
            η².

        Returns
        -------
        SecondMoment
        """
        elementwise = np.outer(multipliers, multipliers)
        if noise.shift:
            elementwise += gain * noise.shift * np.outer(mix, mix)
        return cls(noise, elementwise, gain)

    @property
    def side(self) -> int:
        """Side r of the matrices on which the map acts."""
        return int(self.elementwise.shape[0])

    def __call__(self, x: FloatArray) -> FloatArray:
        """Apply the map once."""
        return self._finish(self.noise.apply(self._inner(x)), x)

    def symmetric(self, x: FloatArray) -> FloatArray:
        """Apply the map once to a symmetric matrix, at about half the work.

        Parameters
        ----------
        x : ndarray, shape (r, r)
            Symmetric.

        Returns
        -------
        ndarray, shape (r, r), float64
        """
        return self._finish(self.noise.apply_symmetric(self._inner(x)), x)

    def _inner(self, x: FloatArray) -> FloatArray:
        return x if self.scale is None else self.scale * x

    def _finish(self, out: FloatArray, x: FloatArray) -> FloatArray:
        if self.gain != 1.0:
            out *= self.gain
        if self.scale is not None:
            out *= self.scale
        out += self.elementwise * x
        return out
