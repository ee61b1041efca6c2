"""Where a report comes from: command, date, commit, digest of its numbers."""

from __future__ import annotations

import datetime
import hashlib
import json
import shlex
import subprocess
import sys
from pathlib import Path

from rmtstab.sweeps.files import write_atomically

ORIGIN = "origin.json"  # beside the results, which are the same whenever they are computed
KEYS = ("command", "date", "commit")


def commit() -> str:
    """Commit of the source that runs; with "+" where it was changed since.

    Returns
    -------
    str
        "none" for an installed package.
    """
    git = ["git", "-C", str(Path(__file__).parents[2])]
    try:
        found = subprocess.run(
            [*git, "ls-files", "--error-unmatch", str(Path(__file__))],
            capture_output=True, check=False, timeout=10,
        )  # fmt: skip
        if found.returncode:  # installed inside somebody else's checkout
            return "none"
        head, changed = (
            subprocess.run([*git, *words], capture_output=True, text=True, check=True, timeout=10)
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--", "rmtstab"))
        )
    except (OSError, subprocess.SubprocessError):
        return "none"
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def write_origin(folder: Path) -> None:
    """Note command, date and commit of the run that fills a folder.

    Parameters
    ----------
    folder : Path
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    command = shlex.join(["rmtstab", *sys.argv[1:]])
    found = {"command": command, "date": now, "commit": commit()}
    write_atomically(folder / ORIGIN, json.dumps(found, indent=1) + "\n")


def read_origin(folder: Path, results: str) -> dict[str, str]:
    """Return command, date and commit of a folder's run, and the digest of its results.

    Parameters
    ----------
    folder : Path
    results : str
        Text of results.json.

    Returns
    -------
    dict of str to str
        "not recorded" where the run left no note.
    """
    try:
        path = folder / ORIGIN
        stored = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except (OSError, ValueError, RecursionError):  # not there, or damaged
        stored = {}
    known = stored if isinstance(stored, dict) else {}
    digest = hashlib.sha256(results.encode()).hexdigest()
    return {
        **{key: str(known.get(key, "not recorded")) for key in KEYS},
        "results.json, SHA-256": digest,
    }
