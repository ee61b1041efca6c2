r"""Escape of the mean of descent–ascent on signal plus noise, and the step-size protocols.

Samples of class c have curvature factors whose Gram matrix is ``signal·11ᵀ`` within the
class, ``shared·⟨ξ_i, ξ_k⟩/dim`` off and ``own + shared·‖ξ_i‖²/dim`` on the diagonal.
Per-set resolvents then close in one unknown y. For ``e = −x`` an eigenvalue of
``D(α)``, ``u = own + shared·y``, ``p_R = n_r/(1−α)``, ``p_F = n_f/α``,

    (1 − 1/y) dim/shared = n_f/(x p_F − u) − n_r/(x p_R + u),

the bulk's edge is where ``dx/dy = 0``, and the signal adds an eigenvalue of each class
where the right-hand side equals ``classes/signal``. Derived in docs/theory/cnn, and for
linear data (``own = 0``) in docs/theory/signal_plus_noise. `rmtstab.theory.cnn` and
`rmtstab.theory.signal_plus_noise` fill in the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rmtstab import _checks
from rmtstab._record import Record

__all__ = ["Escape", "EscapeRate"]
PROTOCOLS = ("common", "sgd_scaled", "sharpness_scaled")


MOST_PUSH = 1e305  # n_f/α: its products with counts stay finite


@dataclass(frozen=True)
class Escape(Record):
    """The direction along which the mean of descent–ascent escapes.

    Attributes
    ----------
    curvature : float
        ``x = −λ_min(D(α)) > 0``; the mean grows by ``1 + η x`` a step. 0 where nothing escapes.
    resistance : float
        Ψ: retain loss paid per unit of forget loss gained along the direction; NaN where
        nothing escapes.
    through_signal : bool
        Whether the direction carries the signal (an outlier) rather than noise only.
    """

    curvature: float
    resistance: float
    through_signal: bool

    def __post_init__(self) -> None:
        through = _checks.flag("through_signal", self.through_signal)
        object.__setattr__(self, "through_signal", through)


@dataclass(frozen=True)
class EscapeRate(Record):
    """Speed of the mean's escape under one step-size protocol.

    Attributes
    ----------
    protocol : str
        One of `PROTOCOLS`.
    step_size : float
        In units of 1/σ_p².
    rate : float
        ``log(1 + ηx)`` a step.
    e_fold_steps : float
        ``1/rate``, steps in which the displacement grows e-fold.
    escape : Escape
        The direction; its resistance does not depend on the protocol.
    """

    protocol: str
    step_size: float
    rate: float
    e_fold_steps: float
    escape: Escape


def deepest(
    n_retain: int,
    n_forget: int,
    dim: int,
    alpha: float,
    *,
    own: float,
    shared: float,
    signal: float,
    classes: int,
) -> Escape:
    r"""Most negative curvature of ``D(α)`` and the resistance along it.

    ``Ψ = [(x − uα/n_f)/(x + u(1−α)/n_r)]²`` at the root x of the module's equation.

    Parameters
    ----------
    n_retain, n_forget, dim : int
    alpha : float
        Mixing in (0, 1).
    own, shared : float
        Noise curvature of a sample's own filters and of those shared with others, ≥ 0 and > 0.
    signal : float
        Signal curvature of a sample, ≥ 0.
    classes : int
        Signal directions among which both sets are balanced.

    Returns
    -------
    Escape

    Raises
    ------
    ValueError
        If alpha lies outside (0, 1).

    Examples
    --------
    >>> from rmtstab.theory.escape import deepest
    >>> found = deepest(400, 100, 1000, 0.3, own=0.0, shared=1000.0, signal=0.0, classes=1)
    >>> round(found.curvature, 4), found.through_signal
    (4.712, False)
    """
    alpha = _checks.real("alpha", alpha, low=0.0, high=1.0, low_open=True, high_open=True)
    if n_forget / alpha > MOST_PUSH:
        raise ValueError(f"alpha must be at least n_forget/{MOST_PUSH:g}, got {alpha!r}")
    # in units of α/n_f: of one scale however small the mixing
    push = n_forget / alpha
    pull = n_retain / (1.0 - alpha) / push

    def depth(y: float) -> float:
        """The smallest root ``x p_F > u`` of the quadratic for given y; inf if there is none."""
        u, q = own + shared * y, (1.0 - 1.0 / y) * dim / shared
        a = q * pull
        b = q * u * (1.0 - pull) + n_retain - n_forget * pull
        c = -q * u * u - (n_retain + n_forget) * u
        discriminant = b * b - 4.0 * a * c
        if discriminant < 0.0:
            return math.inf
        half = -0.5 * (b + math.copysign(math.sqrt(discriminant), b))  # without cancellation
        roots = [half / a if a else math.inf, c / half if half else math.inf]
        return min((x for x in roots if x > u), default=math.inf)

    if own == 0.0:
        edge, edge_curvature = _shared_noise_edge(dim / n_retain, dim / n_forget, alpha)
        if edge_curvature <= 0.0:
            # the signal adds no escape of its own then (docs/theory/signal_plus_noise)
            return Escape(0.0, math.nan, False)
    else:
        edge = _edge(depth)
    y, through_signal = edge, False
    if signal > classes * shared / dim:
        candidate = 1.0 / (1.0 - classes * shared / (signal * dim))
        if candidate < edge:
            y, through_signal = candidate, True
    x, u = depth(y), own + shared * y
    if own == 0.0 and not through_signal:
        x = edge_curvature * shared / dim * push
    ratio = pull * (x - u) / (pull * x + u)
    return Escape(x / push, ratio * ratio, through_signal)


def _edge(depth: Callable[[float], float]) -> float:
    """The y at the noise's edge: the branch from (y = 1, x = ∞) ends at the smallest x."""
    from scipy.optimize import minimize_scalar

    grid = np.linspace(-12.0, 12.0, 961)
    k = int(np.argmin([depth(math.exp(t)) for t in grid]))
    search = minimize_scalar(
        lambda t: depth(math.exp(t)),
        bounds=(float(grid[max(k - 1, 0)]), float(grid[min(k + 1, len(grid) - 1)])),
        method="bounded",
        options={"xatol": 1e-12},
    )
    return math.exp(float(search.x))


def _shared_noise_edge(
    retain_ratio: float, forget_ratio: float, alpha: float
) -> tuple[float, float]:
    r"""``(y, x)`` at the left edge of ``D(α)`` of unit noise that all samples share.

    With ``g = tr(D + x)⁻¹/dim`` and ``y = x g``,
    ``x = 1/g − (1−α)/(1 + γ_r(1−α)g) + α/(1 − γ_fαg)``, and ``g² dx/dg`` rises from −1 to ∞
    on ``(0, 1/(γ_fα))``: one edge, whatever its sign.
    """
    from scipy.optimize import brentq

    retain, forget = retain_ratio * (1.0 - alpha), forget_ratio * alpha

    def slope(t: float) -> float:
        """``g² dx/dg`` at ``g = t/(γ_f α)``."""
        pulled, pushed = retain * t / (forget + retain * t), t / (1.0 - t)
        return pulled * pulled / retain_ratio + pushed * pushed / forget_ratio - 1.0

    t = float(brentq(slope, 0.0, 1.0 - 1e-15, xtol=1e-300, rtol=1e-15))
    x = forget / t - (1.0 - alpha) * forget / (forget + retain * t) + alpha / (1.0 - t)
    return x * t / forget, x


def protocol_step_size(
    protocol: str,
    *,
    step_size: float | None,
    threshold: Callable[[], float] | None,
    sharpness: Callable[[], float],
) -> float:
    """Step size of a protocol.

    Parameters
    ----------
    protocol : {"common", "sgd_scaled", "sharpness_scaled"}
        A step size given; half of plain SGD's Volterra threshold on the retain set;
        ``0.05/λ_max(H_R)``.
    step_size : float or None
        For ``"common"`` and no other.
    threshold : callable or None
        Plain SGD's threshold; None where no batch size was given.
    sharpness : callable
        Largest curvature of the retain set.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If an argument that the protocol needs is missing, or one is given that it sets.

    Examples
    --------
    >>> from rmtstab.theory.escape import protocol_step_size
    >>> protocol_step_size(
    ...     "sharpness_scaled", step_size=None, threshold=None, sharpness=lambda: 2.0
    ... )
    0.025
    """
    _checks.choice("protocol", protocol, PROTOCOLS)
    if protocol == "common":
        if step_size is None:
            raise ValueError("step_size must be given with protocol='common', got None")
        return _checks.real("step_size", step_size, low=0.0, low_open=True)
    if step_size is not None:
        raise ValueError(
            f"step_size must be left out with protocol={protocol!r}, which sets it, "
            f"got {step_size!r}"
        )
    if protocol == "sharpness_scaled":
        return 0.05 / sharpness()
    if threshold is None:
        raise ValueError("batch_size must be given with protocol='sgd_scaled', got None")
    return 0.5 * threshold()


def rate_of(protocol: str, step_size: float, found: Escape) -> EscapeRate:
    """Rate ``log(1 + ηx)`` and e-fold time of an escape direction.

    Parameters
    ----------
    protocol : str
        One of `PROTOCOLS`.
    step_size : float
    found : Escape

    Returns
    -------
    EscapeRate

    Examples
    --------
    >>> from rmtstab.theory.escape import Escape, rate_of
    >>> round(rate_of("common", 0.1, Escape(2.0, 0.1, False)).e_fold_steps, 3)
    5.485
    """
    rate = math.log1p(step_size * found.curvature)
    return EscapeRate(protocol, step_size, rate, 1.0 / rate if rate else math.inf, found)
