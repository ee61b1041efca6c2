"""Evidence of the checks that need no network, computed once."""

import numpy as np
import pytest

from rmtstab.claims import closed_forms, exact, gap, ledger

SUBJECTS = (exact, ledger, gap, closed_forms)  # the limits have slow tests of their own


@pytest.fixture(scope="session")
def theory_evidence():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "EXTREMAL_DRAWS", 3)
        patch.setattr(ledger, "ENSEMBLE_DRAWS", 36)
        fewer = {name: (draws // 25, draw) for name, (draws, draw) in gap.ENSEMBLES.items()}
        patch.setattr(gap, "ENSEMBLES", fewer)
        claims = [claim for subject in SUBJECTS for claim in subject.CLAIMS]
        return {claim.name: claim.check(np.random.default_rng(1)) for claim in claims}
