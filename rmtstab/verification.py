r"""Check a certificate of the growth factor in ball arithmetic, with no code of the solver.

A certificate file states ``ρ(Φ) < λ`` or ``ρ(Φ) ≥ λ`` for the second-moment operator of given
factors and hyper-parameters, and carries a witness X. All numbers are dyadic (hexadecimal floats),
so the file means one exact operator

    Φ(X) = J X J + η² Σ_s a_s² [c_s Σ_i H_i X H_i − e_s n_s H_s X H_s],   H_i = A_i A_iᵀ,

and what is checked is ``X ≻ 0`` and ``λX − Φ(X) ≻ 0`` by Cholesky factorisations, or
``⟨X, Φ(X)⟩ ≥ λ⟨X, X⟩``, in ball arithmetic that encloses every rounding. This file imports nothing
else of the package.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT = "rmtstab-certificate"
VERSION = 1
STATEMENTS = ("growth < bound", "growth >= bound")
SAMPLINGS = ("bernoulli", "without_replacement", "with_replacement")
HEX = re.compile(r"[+-]?0x[01](\.[0-9a-f]+)?p[+-]?\d+")
LARGEST = 2000  # rows or columns: a file beyond it is no certificate for this checker
PRECISIONS = (128, 256, 512, 1024)  # bits; the first that decides is used


@dataclass(frozen=True)
class Verification:
    """Outcome of a check.

    Attributes
    ----------
    proved : bool
        Whether the statement holds, rounding included.
    statement : str
        What was to be shown, with its number.
    reason : str
        Which inequality decided.
    precision : int
        Bits of the ball arithmetic.
    rank, n_samples : int
        Sizes of the operator.
    """

    proved: bool
    statement: str
    reason: str
    precision: int
    rank: int
    n_samples: int

    def __bool__(self) -> bool:
        return self.proved


def verify(certificate: Any) -> Verification:
    """Prove or refuse what a certificate states.

    Parameters
    ----------
    certificate : path-like or dict
        A file that `Dynamics.certificate` wrote, or its content.

    Returns
    -------
    Verification
        True exactly if the statement is proved for the factors, hyper-parameters and
        sampling scheme in the file.

    Raises
    ------
    ImportError
        Without python-flint (``pip install rmtstab[rigorous]``).
    OSError
        If the file cannot be read.
    ValueError
        If it is no certificate, was altered, or holds a number that is not dyadic.

    Notes
    -----
    Proved is a statement about the *linear recursion of the factors in the file*: not that
    they are those of a given network, nor that the network follows its linearisation.

    References
    ----------
    Collatz–Wielandt bound and Rayleigh quotient of a positive self-adjoint map; derived in
    docs/theory/certificates.

    Examples
    --------
    >>> import rmtstab as rs
    >>> one, half = (1.0).hex(), (0.5).hex()
    >>> content = rs.verification.seal({
    ...     "statement": "growth < bound", "bound": (0.2501).hex(),
    ...     "step_size": half, "alpha": (0.0).hex(), "weight_decay": (0.0).hex(),
    ...     "sampling": "without_replacement", "sizes": [1, 0], "batch_sizes": [one, one],
    ...     "offsets": [0, 1], "factors": [[one]], "witness": [[one]],
    ... })
    >>> rs.verify(content).proved
    True
    """
    content = certificate if isinstance(certificate, dict) else _read(certificate)
    claim = _Claim.parse(content)
    try:
        from flint import ctx
    except ImportError as error:
        raise ImportError(
            "verify needs python-flint; install it with `pip install rmtstab[rigorous]`"
        ) from error
    before = ctx.prec
    outcome: bool | None = None
    reason, precision = "undecided", PRECISIONS[-1]
    try:
        for precision in PRECISIONS:
            ctx.prec = precision
            outcome, reason = claim.decide()
            if outcome is not None:
                break
    finally:
        ctx.prec = before
    return Verification(
        outcome is True,
        f"{claim.statement.replace('bound', repr(claim.bound))}",
        reason,
        precision,
        len(claim.factors),
        len(claim.offsets) - 1,
    )


def seal(content: dict[str, Any]) -> dict[str, Any]:
    """Complete a certificate with its format, version and digest.

    Parameters
    ----------
    content : dict
        Everything but these three; numbers as hexadecimal floats.

    Returns
    -------
    dict
        Ready for `json.dump`.

    Raises
    ------
    TypeError, ValueError
        If it is no dictionary, or holds what JSON has no word for (NaN among them).

    Examples
    --------
    >>> from rmtstab.verification import seal
    >>> sorted(seal({"bound": "0x1p+0"}))
    ['bound', 'digest', 'format', 'version']
    """
    if not isinstance(content, dict):
        raise TypeError(f"content must be a dictionary, got {type(content).__name__}")
    whole = {**content, "format": FORMAT, "version": VERSION}
    whole.pop("digest", None)
    try:
        digest = _digest(whole)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"content must hold JSON values only, got {error}") from None
    return {**whole, "digest": digest}


def _digest(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Any) -> dict[str, Any]:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"certificate must be a path or a dict, got {type(path).__name__}")
    try:
        content = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"certificate must be a JSON file, got {path}: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"certificate must hold a JSON object, got {type(content).__name__}")
    return content


@dataclass(frozen=True)
class _Claim:
    """The exact statement: every float is the dyadic number that the file writes."""

    statement: str
    bound: float
    step_size: float
    alpha: float
    weight_decay: float
    sampling: str
    sizes: tuple[int, int]
    batch_sizes: tuple[float, float]
    offsets: tuple[int, ...]
    factors: list[list[float]]  # A: r rows, a column for each output of each sample
    witness: list[list[float]]  # X: r × r, symmetric

    @classmethod
    def parse(cls, content: dict[str, Any]) -> _Claim:
        """Read and check every field, or raise ValueError naming it."""
        wanted = {*cls.__dataclass_fields__, "format", "version", "digest"}
        if set(content) != wanted:
            odd = sorted(wanted.symmetric_difference(map(str, content)))
            raise ValueError(f"certificate must hold exactly its fields, got differences in {odd}")
        if content["format"] != FORMAT or content["version"] != VERSION:
            raise ValueError(
                f"certificate must be {FORMAT} version {VERSION}, "
                f"got {content['format']!r} version {content['version']!r}"
            )
        body = {key: value for key, value in content.items() if key != "digest"}
        try:
            digest = _digest(body)
        except (TypeError, ValueError):
            raise ValueError("certificate must hold JSON values only") from None
        if digest != content["digest"]:
            raise ValueError("certificate was altered: its digest does not fit its content")
        for name, accepted in (("statement", STATEMENTS), ("sampling", SAMPLINGS)):
            if content[name] not in accepted:
                raise ValueError(f"{name} must be one of {accepted}, got {content[name]!r}")
        numbers = {
            k: _number(k, content[k]) for k in ("bound", "step_size", "alpha", "weight_decay")
        }
        sizes = tuple(_integer("sizes", n) for n in _pair("sizes", content["sizes"]))
        batches = tuple(
            _number("batch_sizes", b) for b in _pair("batch_sizes", content["batch_sizes"])
        )
        offsets = content["offsets"]
        if not isinstance(offsets, list) or len(offsets) != sum(sizes) + 1:
            raise ValueError(f"offsets must list {sum(sizes) + 1} integers")
        offsets = tuple(_integer("offsets", o) for o in offsets)
        if offsets[0] != 0 or any(a > b for a, b in itertools.pairwise(offsets)):
            raise ValueError("offsets must rise from 0")
        factors = _matrix("factors", content["factors"], offsets[-1])
        witness = _matrix("witness", content["witness"], len(factors))
        if len(witness) != len(factors) or any(
            witness[i][j] != witness[j][i] for i in range(len(witness)) for j in range(i)
        ):
            raise ValueError(f"witness must be symmetric of side {len(factors)}")
        claim = cls(
            content["statement"], numbers["bound"], numbers["step_size"], numbers["alpha"],
            numbers["weight_decay"], content["sampling"], (sizes[0], sizes[1]),
            (batches[0], batches[1]), offsets, factors, witness,
        )  # fmt: skip
        claim._check_ranges()
        return claim

    def _check_ranges(self) -> None:
        if not 0.0 <= self.alpha <= 1.0:
            raise ValueError(f"alpha must lie in [0, 1], got {self.alpha!r}")
        if self.step_size < 0.0 or self.weight_decay < 0.0:
            raise ValueError("step_size and weight_decay must be >= 0")
        for n, weight, batch in zip(
            self.sizes, (1.0 - self.alpha, self.alpha), self.batch_sizes, strict=True
        ):
            whole = self.sampling == "bernoulli" or batch == int(batch) >= 1
            if weight > 0.0 and not (n >= 1 and 0.0 < batch <= n and whole):
                raise ValueError(f"batch_sizes must fit the sets of sizes {self.sizes}")

    def decide(self) -> tuple[bool | None, str]:
        """Whether the statement holds (None: undecided at this precision), and why."""
        from flint import arb, arb_mat

        if not self.factors:
            return (self.bound > 0.0) == (self.statement == STATEMENTS[0]), "no curvature"
        x = arb_mat(self.witness)
        image = self._operator(x)
        bound = arb(self.bound)
        if self.statement == STATEMENTS[1]:
            gap = (x * image).trace() - bound * (x * x).trace()
            if (x * x).trace() > 0 and gap >= 0:
                return True, "<X, Phi(X)> >= bound * <X, X>"
            return (False if gap < 0 else None), "<X, Phi(X)> < bound * <X, X>"
        for matrix, name in ((x, "X"), (bound * x - image, "bound * X - Phi(X)")):
            positive = _positive_definite(matrix)
            if positive is not True:
                return positive, f"{name} is not positive definite"
        return True, "X and bound * X - Phi(X) are positive definite"

    def _operator(self, x: Any) -> Any:
        """Φ(X) from the definition of each scheme's inclusion counts."""
        from flint import arb, arb_mat

        eta, decay = arb(self.step_size), arb(self.weight_decay)
        r = len(self.factors)
        stay = arb_mat(r, r, [arb(int(i == j)) for i in range(r) for j in range(r)])
        stay = (arb(1) - eta * decay) * stay
        total = arb_mat(r, r)
        alpha = arb(self.alpha)
        first = 0
        for n, batch, weight, sign in zip(
            self.sizes, self.batch_sizes, (arb(1) - alpha, alpha), (1, -1), strict=True
        ):
            members = range(first, first + n)
            first += n
            if n == 0 or weight == 0:
                continue
            columns = range(self.offsets[members[0]], self.offsets[members[-1] + 1])
            a = arb_mat([[row[k] for k in columns] for row in self.factors])
            flat = a.transpose()
            mean = a * flat * (arb(1) / n)
            stay = stay - eta * sign * weight * mean
            variance, covariance = self._counts(n, arb(batch))
            scale = (eta * weight / arb(batch)) ** 2
            inner = flat * x * a
            blocks = arb_mat(len(columns), len(columns))
            for i in members:
                for p in range(self.offsets[i], self.offsets[i + 1]):
                    for q in range(self.offsets[i], self.offsets[i + 1]):
                        blocks[p - columns[0], q - columns[0]] = inner[
                            p - columns[0], q - columns[0]
                        ]
            own = a * blocks * flat
            both = mean * x * mean * (arb(n) * n)  # Σ_ij H_i X H_j
            total += scale * ((variance - covariance) * own + covariance * both)
        return stay * x * stay + total

    def _counts(self, n: int, batch: Any) -> tuple[Any, Any]:
        """Variance of one inclusion count, and covariance of two."""
        from flint import arb

        p = batch / n
        if self.sampling == "bernoulli":
            return p * (1 - p), arb(0)
        if self.sampling == "with_replacement":
            return p * (arb(1) - arb(1) / n), -p / n
        if n == 1:
            return arb(0), arb(0)
        return p * (1 - p), p * (batch - 1) / (n - 1) - p * p


def _positive_definite(matrix: Any) -> bool | None:
    """Cholesky in balls: True or False only where no rounding could change it."""
    n = matrix.nrows()
    rows: list[list[Any]] = []
    for i in range(n):
        row: list[Any] = []
        for j in range(i):
            value = matrix[i, j]
            for left, right in zip(row, rows[j], strict=False):
                value = value - left * right
            row.append(value / rows[j][j])
        pivot = matrix[i, i]
        for entry in row:
            pivot = pivot - entry * entry
        if not pivot > 0:
            return False if pivot <= 0 else None
        row.append(pivot.sqrt())
        rows.append(row)
    return True


def _number(name: str, text: Any) -> float:
    if not isinstance(text, str) or not HEX.fullmatch(text):
        raise ValueError(f"{name} must hold hexadecimal floats like '0x1.8p-3', got {text!r:.60}")
    try:
        return float.fromhex(text)
    except OverflowError:
        raise ValueError(f"{name} must be finite, got {text!r:.60}") from None


def _integer(name: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value <= LARGEST:
        raise ValueError(f"{name} must hold integers in [0, {LARGEST}], got {value!r:.60}")
    return value


def _pair(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"{name} must be a pair, got {value!r:.60}")
    return value


def _matrix(name: str, value: Any, columns: int) -> list[list[float]]:
    if not isinstance(value, list) or len(value) > LARGEST:
        raise ValueError(f"{name} must be a list of at most {LARGEST} rows")
    for row in value:
        if not isinstance(row, list) or len(row) != columns:
            raise ValueError(f"{name} must have rows of {columns} numbers")
    return [[_number(name, entry) for entry in row] for row in value]
