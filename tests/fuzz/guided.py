"""Fuzz one parser guided by coverage: ``python -m tests.fuzz.guided KIND SECONDS FOLDER``."""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=["rmtstab.sweeps", "rmtstab.verification", "rmtstab.report", "rmtstab.cli", "tomllib"]
):
    from tests.fuzz import parsers


def main(kind, seconds, folder):
    """Run libFuzzer on a parser; it ends the process."""
    corpus = Path(folder) / "corpus"
    corpus.mkdir(exist_ok=True)
    (corpus / "whole").write_bytes(parsers.whole(kind, folder))
    with tempfile.TemporaryDirectory() as place:
        atheris.Setup(
            [sys.argv[0], str(corpus), f"-max_total_time={seconds}", "-timeout=20",
             "-rss_limit_mb=4096", "-max_len=4096", f"-artifact_prefix={folder}/"],
            lambda data: parsers.attempt(kind, data, place),
        )  # fmt: skip
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:4])
