"""Critical mixings reach their limits at the soft edge's rate."""

import numpy as np
import pytest

from rmtstab.claims.limits import mixing
from tests.claims.limits.rates import HALF, ONE, SOFT_EDGE, has_rate


def test_wachter(rng):
    found = mixing.wachter_rates(rng)
    has_rate(found["rate"], SOFT_EDGE, HALF, ONE)
    assert all(b > 0 for b in found["rate"]["bias"])  # sampled from above
    for row in found["rows"]:
        for level, share in row["below_quantile"].items():
            p = float(level)
            assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / row["draws"]) + 0.012
        corrected = abs(row["mean_over_sampled"] - 1)
        assert corrected < (1 - row["limit_over_sampled"]) / 8 + 4 * row["error"]
    # it fails for heavy tails: the distance grows with the size
    assert found["heavy_tailed"][0] < -0.1 and found["heavy_tailed"][2] < found["heavy_tailed"][0]


@pytest.mark.slow
def test_descent_ascent_edge(rng):
    found = mixing.descent_ascent_rates(rng)
    for name in ("over_parameterised", "under_parameterised"):
        has_rate(found[name], SOFT_EDGE, HALF, ONE)
    distances = found["wachter_distance"]
    assert distances[0] < 0.03 and distances[2] < 1e-5
    # it fails for an anisotropic covariance: 20 % stay where isotropic factors keep 4 %
    assert found["anisotropic"][2] > 0.12
