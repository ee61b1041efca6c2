"""Claims: statement, check and judge together, one file a subject; in the report's order."""

from rmtstab.claims import closed_forms, exact, gap, ledger, parting
from rmtstab.claims.claim import Claim, Outcome, theory_claim
from rmtstab.claims.limits import mixing, signal, volterra
from rmtstab.claims.networks import curvature, data_axis, maps, moments, natural_size, resistance

SUBJECTS = (
    # from trained networks
    resistance,
    maps,
    moments,
    natural_size,
    data_axis,
    curvature,
    # that need no network
    exact,
    parting,
    ledger,
    gap,
    closed_forms,
    volterra,
    mixing,
    signal,
)
CLAIMS: tuple[Claim, ...] = tuple(claim for subject in SUBJECTS for claim in subject.CLAIMS)

__all__ = ["CLAIMS", "Claim", "Outcome", "theory_claim"]
