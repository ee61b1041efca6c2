"""What it takes for a fitted slope to be the claimed one."""

from rmtstab.claims.rates import supports

THIRD, HALF, SOFT_EDGE, ONE = -1 / 3, -0.5, -2 / 3, -1.0
BEND = 0.05  # of lines at finite sizes


def has_rate(fit, claimed, *others):
    """Within three errors of the claimed slope but for a bend, and told from the others."""
    assert abs(fit["slope"] - claimed) < 3 * fit["slope_error"] + BEND
    assert supports(fit, claimed, others)
