"""Check built pages: ``python docs/check_pages.py docs/_build/html``.

Every local link and anchor leads somewhere, nothing is loaded from a network, every picture has a
text beside it, every public object has a page, and no formula is left as LaTeX.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

LATEX = re.compile(r"\\(frac|sum|lambda|rho|alpha|eta|bar|mathrm|operatorname)\b")
FORMULAE = 500  # fewer, and the renderer does not do its work


class Page(HTMLParser):
    """What one page links to, loads, names and says."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = {""}
        self.without_alt: list[str] = []
        self.formulae = 0
        self.words: list[str] = []
        self._code = 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Collect what matters of a tag."""
        found = dict(attrs)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        # from a source back to its page: by the name that the source has, not the public one
        back = "viewcode-back" in (found.get("class") or "")
        if tag == "a" and found.get("href") and not back:
            self.links.append(found["href"])
        if tag in ("script", "img", "iframe", "source") and found.get("src"):
            self.loads.append(found["src"])
        if tag == "link" and "stylesheet" in (found.get("rel") or ""):
            self.loads.append(found["href"])
        if tag == "img" and "alt" not in found:  # an empty one is of a mere ornament
            self.without_alt.append(found.get("src") or "")
        self.formulae += tag == "math"
        self._code += tag in ("code", "pre", "script", "style")

    def handle_endtag(self, tag):
        """Leave code."""
        self._code -= tag in ("code", "pre", "script", "style")

    def handle_data(self, data):
        """Keep text that a reader sees as text."""
        if self._code <= 0:
            self.words.append(data)


def faults(folder: Path) -> list[str]:
    """List what is wrong, one line each."""
    pages = {path.resolve(): Page(path.read_text("utf-8")) for path in folder.rglob("*.html")}
    found, formulae = [], sum(page.formulae for page in pages.values())
    for path, page in sorted(pages.items()):
        name = path.relative_to(folder.resolve())
        for target in page.loads:
            if urlsplit(target).scheme in ("http", "https") or target.startswith("//"):
                found.append(f"{name}: loads {target} from the network")
        found += [f"{name}: picture {src} has no text" for src in page.without_alt]
        if match := LATEX.search(" ".join(page.words)):
            found.append(f"{name}: LaTeX is left as it is: {match.group(0)}")
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                found.append(f"{name}: link to {link} leads nowhere")
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{name}: link to {link} has no such anchor")
    if formulae < FORMULAE:
        found.append(f"only {formulae} formulae are rendered")
    return found + missing(folder)


def missing(folder: Path) -> list[str]:
    """List public objects without a page."""
    from reference import sections

    names = [name for rows in sections().values() for name in rows]
    pages = {path.stem for path in (folder / "api" / "generated").glob("*.html")}
    return [f"{name} has no page" for name in names if name not in pages]


if __name__ == "__main__":
    wrong = faults(Path(sys.argv[1]))
    print("\n".join(wrong[:100]) or "all pages are in order")
    sys.exit(bool(wrong))
