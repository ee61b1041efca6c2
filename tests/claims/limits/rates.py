"""What it takes for a fitted slope to be the claimed one."""

THIRD, HALF, SOFT_EDGE, ONE = -1 / 3, -0.5, -2 / 3, -1.0


def has_rate(fit, claimed, *others):
    """Within three errors of the claimed slope, and three errors or more tell the others apart."""
    assert abs(fit["slope"] - claimed) < 3 * fit["slope_error"]
    for other in others:
        assert abs(claimed - other) > 3 * fit["slope_error"]
        assert abs(fit["slope"] - claimed) < abs(fit["slope"] - other)
