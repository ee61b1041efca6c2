"""Durable files: written whole or not at all, checked when read, one writer a folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows: there a folder in use is not noticed
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
PREFIX = b'{"sha256": "'  # a sealed file is this, 64 hexadecimal digits, and what they are of
DIGITS = 64


class FolderInUse(OSError):
    """Another run is writing to the folder."""


def write_atomically(path: Path, data: str | bytes) -> None:
    """Write a file whole or not at all, and leave nothing beside it.

    Parameters
    ----------
    path : Path
        Replaced if it is a file, a link (itself, not what it points to) or a pipe; a
        folder in its place is set aside under a new name.
    data : str or bytes

    Raises
    ------
    OSError
        If the file cannot be written (a full disk, say): what was there before stays.

    Notes
    -----
    Writes to a new file of an unpredictable name, then renames it. A rename is atomic
    against every reader and against SIGKILL; after a power failure a file may be short,
    which `read_sealed` notices.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from rmtstab.sweeps.files import write_atomically
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "a.json", "{}")
    ...     [found.name for found in Path(folder).iterdir()]
    ['a.json']
    """
    path = Path(path)
    ticket = f"{os.getpid()}.{threading.get_ident()}.{secrets.token_hex(8)}"
    temporary = path.with_name(f".{path.name}.{ticket}.tmp")
    # O_EXCL: neither another's file nor a link that waits under this name is followed
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with open(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
        if path.is_dir() and not path.is_symlink():
            path.rename(path.with_name(f"{path.name}.aside-{secrets.token_hex(4)}"))
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_sealed(path: Path, text: str) -> None:
    """Write a JSON object so that `read_sealed` notices every change of a bit.

    Parameters
    ----------
    path : Path
    text : str
        A JSON object with at least one member, on one line.
    """
    rest = b'", ' + text[1:].encode()
    write_atomically(path, PREFIX + hashlib.sha256(rest).hexdigest().encode() + rest)


def read_sealed(path: Path) -> bytes | None:
    """Return the bytes of a sealed file, or None where it is damaged.

    Parameters
    ----------
    path : Path

    Returns
    -------
    bytes or None
        JSON; None if the file is truncated, changed, or no plain file (a link, a pipe,
        a folder).

    Raises
    ------
    FileNotFoundError
        If there is nothing of that name.
    """
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return None
    data = path.read_bytes()
    return data if is_whole(data) else None


def is_whole(data: bytes) -> bool:
    """Whether the bytes of a sealed file are those that were written.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    bool
    """
    start = len(PREFIX)
    digest, rest = data[start : start + DIGITS], data[start + DIGITS :]
    return data.startswith(PREFIX) and hashlib.sha256(rest).hexdigest().encode() == digest


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder against other runs, and clear what dead ones left half written.

    The system releases the lock with the process, however it ends.

    Parameters
    ----------
    folder : Path
        Must exist.

    Raises
    ------
    FolderInUse
        If another run, in this process or any other, holds it.
    """
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    try:
        if fcntl is not None:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FolderInUse(
                    f"folder must not be in use by another run, got {folder}: wait for that run, "
                    "or name another folder"
                ) from None
        for left in folder.glob(".*.tmp"):
            left.unlink(missing_ok=True)
        yield
    finally:
        os.close(handle)
