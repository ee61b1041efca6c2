"""Where numbers come from: versions, the code's digest, and the folder of one run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rmtstab.experiment.presets import Preset
from rmtstab.sweeps import source_digest, versions
from rmtstab.sweeps.files import write_atomically

MANIFEST = "run.json"


def take_folder(folder: Path, preset: Preset, seed: int, device: str) -> None:
    """Take a folder for this run, or refuse: nothing of another run is touched.

    Parameters
    ----------
    folder : Path
        Made if it does not exist; may hold this very run, interrupted.
    preset : Preset
    seed : int
    device : str

    Raises
    ------
    ValueError
        If it holds anything else.
    OSError
        If it cannot be written: nothing is left in it then.
    """
    identity = json.loads(
        json.dumps(
            {
                "preset": preset.describe(),
                "seed": seed,
                "device": device,
                "versions": versions(),
                "source": source_digest(),
            }
        )
    )
    manifest = folder / MANIFEST
    if folder.is_dir():  # of a run that was killed while it wrote
        for left in folder.glob(f".{MANIFEST}.*.tmp"):
            left.unlink(missing_ok=True)
    if manifest.exists():
        try:
            found = json.loads(manifest.read_text())
        except (OSError, ValueError):
            found = None
        if found != identity:
            theirs = "an unreadable run" if not isinstance(found, dict) else _name(found)
            raise ValueError(
                f"out must be a new folder or one of {_name(identity)}, got {folder}: {theirs}"
            )
    elif folder.is_dir() and any(folder.iterdir()):
        raise ValueError(
            f"out must be a new or empty folder, or this run's, got {folder}: other files in it"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(manifest, json.dumps(identity, indent=1) + "\n")
    except OSError as error:
        words = f"out must be a writable folder, got {folder}: {error.strerror}"
        raise OSError(error.errno, words) from None  # of the same class


def _name(identity: dict[str, Any]) -> str:
    preset = identity.get("preset")
    name = preset.get("name") if isinstance(preset, dict) else preset
    code = str(identity.get("source"))[:8]
    return (
        f"preset {name}, seed {identity.get('seed')}, device {identity.get('device')} "
        f"(code {code}, same libraries)"
    )
