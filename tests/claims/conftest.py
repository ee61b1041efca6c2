"""Evidence of the checks that need no network, computed once."""

import numpy as np
import pytest

from rmtstab.claims.theory_checks import CHECKS


@pytest.fixture(scope="session")
def theory_evidence():
    return {name: check(np.random.default_rng(1)) for name, check in CHECKS.items()}
