"""Claims as data: statements, the runs that gather their evidence, and their verdicts."""

from rmtstab.claims.catalogue import CLAIMS
from rmtstab.claims.presets import PRESETS, Preset
from rmtstab.claims.registry import Claim, Outcome, theory_claim

__all__ = ["CLAIMS", "PRESETS", "Claim", "Outcome", "Preset", "theory_claim"]
