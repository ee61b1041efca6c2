"""The lowest versions that are tested are those that are declared."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_minimum_file_holds_the_declared_floors():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    floors = dict(re.match(r"([\w-]+)>=([\d.]+)", line).groups() for line in declared)
    lines = (ROOT / "constraints-minimum.txt").read_text().splitlines()
    tested = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert tested.keys() == floors.keys()
    for name, version in tested.items():
        # the first release of the declared series that has wheels for the lowest Python
        assert version == floors[name] or version.startswith(floors[name] + "."), name
