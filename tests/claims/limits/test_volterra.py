"""Volterra thresholds: fitted slopes against the claimed ones."""

import pytest

from rmtstab.claims.limits import volterra
from tests.claims.limits.rates import HALF, ONE, SOFT_EDGE, THIRD, has_rate


@pytest.mark.slow
def test_volterra(rng):
    found = volterra.volterra_rates(rng)
    has_rate(found["noise"], ONE, SOFT_EDGE, HALF)
    has_rate(found["spiked"], ONE, SOFT_EDGE, HALF)
    has_rate(found["mean"], SOFT_EDGE, HALF, ONE)
    has_rate(found["corner"], HALF, THIRD, SOFT_EDGE, ONE)
    has_rate(found["capped"], HALF, THIRD, SOFT_EDGE, ONE)
    unequal = found["unequal_norms"]
    assert unequal["lognormal"][2] < -0.7 and unequal["lognormal"][2] < unequal["lognormal"][0]
    assert unequal["large_spike"][2] < -0.08
    assert abs(unequal["signal"][2]) < 0.01  # as much energy, at one length
