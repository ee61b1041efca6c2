"""Evidence of the checks that need no network, computed once."""

import numpy as np
import pytest

from rmtstab.claims import gap, ledger
from rmtstab.claims.theory_claims import THEORY_CLAIMS


@pytest.fixture(scope="session")
def theory_evidence():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "EXTREMAL_DRAWS", 3)
        patch.setattr(ledger, "ENSEMBLE_DRAWS", 36)
        fewer = {name: (draws // 25, draw) for name, (draws, draw) in gap.ENSEMBLES.items()}
        patch.setattr(gap, "ENSEMBLES", fewer)
        return {claim.name: claim.check(np.random.default_rng(1)) for claim in THEORY_CLAIMS}
