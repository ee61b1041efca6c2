r"""Mini-batch schemes: how a batch is drawn, and with what noise it enters the second moment.

With inclusion counts x_i of mean ``B/n`` and ``Cov(x_i, x_j)/B² = c δ_ij − e/n``, the noise
of one set is ``c Σ_i H_i M H_i − e n H M H``:

================= ====================== =====
sampling          c                      e
================= ====================== =====
bernoulli         (1 − B/n)/(nB)         0
without           (n − B)/(nB(n − 1))    c
with replacement  1/(nB)                 c
================= ====================== =====

(proof in docs/theory/second_moment). No other file compares the schemes' names.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from rmtstab import _checks

Pair = tuple[float, float]


@dataclass(frozen=True)
class Scheme:
    """One way of drawing batches.

    Attributes
    ----------
    name : str
        What a user writes as ``sampling``.
    fixed_size : bool
        Whether every batch holds exactly B samples, a whole number; else B is the mean
        count, any real number in (0, n].
    exhausts : bool
        Whether ``B = n`` takes the whole set, without noise.

    Examples
    --------
    >>> from rmtstab.sampling import Scheme
    >>> Scheme.named("bernoulli").coefficients(4, 2)
    (0.0625, 0.0)
    >>> Scheme.named("without_replacement").coefficients(5, 5)
    (0.0, 0.0)
    """

    name: str
    fixed_size: bool
    exhausts: bool

    @staticmethod
    def named(sampling: Any) -> Scheme:
        """Scheme of a name, or raise.

        Parameters
        ----------
        sampling : {"bernoulli", "without_replacement", "with_replacement"}

        Returns
        -------
        Scheme

        Raises
        ------
        ValueError
            If the name is another.
        """
        _checks.choice("sampling", sampling, SAMPLINGS)
        return SCHEMES[SAMPLINGS.index(sampling)]

    @property
    def least_batch(self) -> float:
        """Where batch sizes begin: 1, or 0 (excluded) where they are real numbers."""
        return 1.0 if self.fixed_size else 0.0

    def coefficients(self, n: int, batch: float) -> Pair:
        """Coefficients ``(c, e)`` of one set's noise; 0 for an empty set.

        Parameters
        ----------
        n : int
            Size of the set.
        batch : float
            B > 0; whether it is valid for the scheme is not checked here.

        Returns
        -------
        (float, float)

        Raises
        ------
        TypeError, ValueError
            If an argument is no number or outside its range.
        """
        n = _checks.integer("n", n, low=0)
        if n == 0:
            return 0.0, 0.0
        batch = _checks.real("batch", batch, low=0.0, low_open=True)
        c = self._unit(n) * ((n - batch) / (n * batch) if self.exhausts else 1.0 / batch)
        return c, c if self.fixed_size else 0.0

    def inverse_batch(self, n: int) -> Pair:
        """``(κ, o)`` with ``c = κ(1/B − o)``: the noise is affine in the inverse batch size.

        Parameters
        ----------
        n : int
            Size of the set, at least 1.

        Returns
        -------
        (float, float)

        Examples
        --------
        >>> from rmtstab.sampling import BERNOULLI, WITH_REPLACEMENT
        >>> BERNOULLI.inverse_batch(4), WITH_REPLACEMENT.inverse_batch(4)
        ((0.25, 0.25), (0.25, 0.0))
        """
        n = _checks.integer("n", n, low=1)
        return self._unit(n), 1.0 / n if self.exhausts else 0.0

    def _unit(self, n: int) -> float:
        """κ; a subset of fixed size is more even than independent draws by (n − 1)/n."""
        if not (self.fixed_size and self.exhausts):
            return 1.0 / n
        return 0.0 if n == 1 else 1.0 / (n - 1.0)

    def check_batch(self, name: str, value: Any, n: int, label: str = "n") -> float:
        """Batch size of one set, or raise.

        Parameters
        ----------
        name : str
            What an error calls the argument.
        value : int or float
            In [1, n]; real and in (0, n] for Bernoulli.
        n : int
            Size of the set.
        label : str
            What an error calls n.

        Returns
        -------
        float

        Raises
        ------
        TypeError, ValueError
            If the value is of another kind or outside its range.
        """
        n = _checks.integer(label, n, low=0)
        if not self.fixed_size:
            return _checks.real(name, value, low=0, high=n, low_open=True, high_label=label)
        whole = value.item() if getattr(value, "ndim", None) == 0 else value
        if isinstance(whole, float | Fraction) and whole == whole // 1:
            whole = int(whole)
        return float(_checks.integer(name, whole, low=1, high=n, high_label=label))

    def check_batches(
        self, batch_size: Any, n_retain: int, n_forget: int, alpha: float | None
    ) -> Pair:
        """Batch sizes of both sets, or raise.

        Parameters
        ----------
        batch_size : int, float or pair (retain, forget)
            One number means both sets.
        n_retain, n_forget : int
            Sizes of the sets; the batch size of an empty one is not read.
        alpha : float or None
            At 0 or 1, when one number was given, neither is that of the set without
            weight. None: any mixing.

        Returns
        -------
        (float, float)

        Raises
        ------
        TypeError, ValueError
            If a batch size is of another kind or outside its range.
        """
        alpha = None if alpha is None else _checks.real("alpha", alpha, low=0.0, high=1.0)
        n_retain = _checks.integer("n_retain", n_retain, low=0)
        n_forget = _checks.integer("n_forget", n_forget, low=0)
        if isinstance(batch_size, tuple | list) or getattr(batch_size, "ndim", 0) == 1:
            if len(batch_size) != 2:
                raise ValueError(
                    f"batch_size must be one number or a pair (retain, forget), got {batch_size!r}"
                )
            given: tuple[Any, Any] = (batch_size[0], batch_size[1])
            read = (True, n_forget > 0)
        else:
            given = (batch_size, batch_size)
            read = (alpha != 1.0, n_forget > 0 and alpha != 0.0)
        sizes = ((n_retain, "n_retain"), (n_forget, "n_forget"))
        result = []
        for value, (n, label), used in zip(given, sizes, read, strict=True):
            if used:
                result.append(self.check_batch("batch_size", value, n, label))
            else:
                least = _checks.real("batch_size", value)
                result.append(float(min(max(least, 1), n)) if n else 0.0)
        return result[0], result[1]


BERNOULLI = Scheme("bernoulli", fixed_size=False, exhausts=True)
WITHOUT_REPLACEMENT = Scheme("without_replacement", fixed_size=True, exhausts=True)
WITH_REPLACEMENT = Scheme("with_replacement", fixed_size=True, exhausts=False)
SCHEMES = (BERNOULLI, WITHOUT_REPLACEMENT, WITH_REPLACEMENT)
SAMPLINGS = tuple(scheme.name for scheme in SCHEMES)
