"""Evidence of the checks that need no network, computed once."""

import numpy as np
import pytest

from rmtstab.claims import closed_forms, exact, gap, ledger, parting

SUBJECTS = (exact, parting, ledger, gap, closed_forms)  # the limits have slow tests of their own


def gathered(wrong):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "EXTREMAL_DRAWS", 3)
        patch.setattr(ledger, "ENSEMBLE_DRAWS", 36)
        fewer = {name: (draws // 25, draw) for name, (draws, draw) in gap.ENSEMBLES.items()}
        patch.setattr(gap, "ENSEMBLES", fewer)
        claims = [claim for subject in SUBJECTS for claim in subject.CLAIMS]
        if wrong:  # others read it from their own draws
            drawn_again = [claim for claim in claims if claim.judge_wrong is None]
            return {c.name: c.check(np.random.default_rng(1), c.mutation) for c in drawn_again}
        return {claim.name: claim.check(np.random.default_rng(1)) for claim in claims}


@pytest.fixture(scope="session")
def theory_evidence():
    return gathered(wrong=False)


@pytest.fixture(scope="session")
def wrong_evidence():
    """The same checks of a theory whose every number is multiplied by the claim's scale."""
    return gathered(wrong=True)
