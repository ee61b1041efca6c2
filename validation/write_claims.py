"""Write docs/claims.md from the claims: ``python validation/write_claims.py``."""

from pathlib import Path

from rmtstab.claims import CLAIMS
from rmtstab.claims.pages import claims_page

PAGE = Path(__file__).parents[1] / "docs" / "claims.md"

if __name__ == "__main__":
    PAGE.write_text(claims_page(CLAIMS))
    print(PAGE)
