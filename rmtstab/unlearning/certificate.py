"""A certificate of the growth factor for `rmtstab verify`: made here, checked by other code."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab._results import FloatArray, Verdict
from rmtstab.dynamics.certificate import EPS, Enclosure
from rmtstab.dynamics.update import Update
from rmtstab.verification import STATEMENTS, Verification, seal, verify

SIDES = ("auto", "above", "below")
SOLVES = 400  # conjugate-gradient steps of one resolvent


@dataclass(frozen=True)
class Certificate(Record):
    """A statement about ρ(Φ), and the numbers that let a stranger prove it.

    Attributes
    ----------
    statement : str
        ``"growth < bound"`` or ``"growth >= bound"``.
    bound : float
    content : dict
        What the file holds: reduced factors, hyper-parameters and witness as dyadic numbers.
    """

    statement: str
    bound: float
    content: dict[str, Any] = field(repr=False)

    def save(self, path: Any) -> Path:
        """Write the file that `rmtstab verify` reads.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        Path
        """
        target = _checks.path("path", path)
        target.write_text(json.dumps(self.content, allow_nan=False) + "\n")
        return target

    def verify(self) -> Verification:
        """Check it in ball arithmetic; see `rmtstab.verify`.

        Returns
        -------
        Verification
        """
        return verify(self.content)


def certificate(
    update: Update, found: Enclosure, verdict: Verdict, side: str, gap: float
) -> Certificate:
    """Certificate of a bound on ρ, whose witness the eigen-solver or a linear solve provides.

    Parameters
    ----------
    update : Update
    found : Enclosure
        Of its growth factor.
    verdict : Verdict
    side : {"auto", "above", "below"}
        Bound ρ from above, from below, or from where it decides stability.
    gap : float
        Relative distance of an upper bound from ρ; it is kept below 1 for what is stable.

    Returns
    -------
    Certificate

    Raises
    ------
    ValueError
        With momentum; if an argument is outside its range; if no witness was found.
    """
    if update.momentum:
        raise ValueError(f"momentum must be 0 for a certificate, got {update.momentum}")
    _checks.choice("side", side, SIDES)
    gap = _checks.real("gap", gap, low=0.0, low_open=True)
    if side == "auto":
        side = "below" if verdict is Verdict.ESCAPES else "above"
    if side == "below":
        return _write(update, STATEMENTS[1], found.value * (1.0 - 64.0 * EPS), found.matrix)
    level = found.value * (1.0 + gap) if found.value > 0.0 else 1e-30
    if verdict is Verdict.STABLE and level >= 1.0:
        level = min(1.0, 0.5 * (1.0 + found.value))
    x = _witness(update, level)
    if x is None:
        raise ValueError(
            f"gap must leave room for a witness, got none at bound {level!r} with growth "
            f"{found.value!r}; try a larger gap"
        )
    return _write(update, STATEMENTS[0], level, x)


def _witness(update: Update, level: float) -> FloatArray | None:
    """X with ``λX − Φ(X) ⪰ ½·1``, ``X ≻ 0``: the resolvent of 1 by conjugate gradients."""
    r = update.basis.n_active
    if r == 0:
        return np.zeros((0, 0))
    phi = update.second_moment().symmetric
    j = update.mean_multipliers
    gaps = level - np.outer(j, j)
    if gaps.diagonal().min() <= 0.0:
        return None
    x = np.diag(1.0 / gaps.diagonal())
    residual = np.eye(r) - level * x + phi(x)
    direction = residual / gaps
    inner = float(np.vdot(residual, direction))
    for _ in range(SOLVES):
        if float(np.linalg.norm(residual, 2)) <= 0.25:
            x = 0.5 * (x + x.T)
            afresh = level * x - phi(np.ascontiguousarray(x))
            if np.linalg.eigvalsh(afresh)[0] >= 0.5 and np.linalg.eigvalsh(x)[0] > 0.0:
                return x
        moved = level * direction - phi(np.ascontiguousarray(direction))
        curvature = float(np.vdot(direction, moved))
        if not curvature > 0.0:  # the level is not above ρ
            return None
        x = x + inner / curvature * direction
        residual = residual - inner / curvature * moved
        scaled = residual / gaps
        previous, inner = inner, float(np.vdot(residual, scaled))
        direction = scaled + inner / previous * direction
    return None


def _write(update: Update, statement: str, bound: float, witness: FloatArray) -> Certificate:
    basis, r = update.basis, update.basis.n_active
    size = float(np.abs(witness).max(initial=0.0))
    scaled = witness / size if size > 0.0 else witness
    content = seal(
        {
            "statement": statement,
            "bound": _hex(bound),
            "step_size": _hex(update.step_size),
            "alpha": _hex(update.alpha),
            "weight_decay": _hex(update.weight_decay),
            "sampling": update.sampling,
            "sizes": list(update.sizes),
            "batch_sizes": [_hex(b) for b in update.batch_size],
            "offsets": [int(o) for o in update.curvatures.factors.offsets],
            "factors": [[_hex(v) for v in row] for row in basis.rows[:, :r].T],
            "witness": [[_hex(v) for v in row] for row in 0.5 * (scaled + scaled.T)],
        }
    )
    return Certificate(statement, bound, content)


def _hex(value: float) -> str:
    return float(value).hex()
