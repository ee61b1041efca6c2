"""Arrays of an ``.npz`` file that anybody may have sent: the right ones, or one line that says why.

Nothing in a file is executed, and none makes more arrays than it says: what each array's header
promises is compared with what the archive holds before any memory is taken.
"""

from __future__ import annotations

import math
import os
import stat
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

DAMAGE = (
    ValueError, TypeError, EOFError, KeyError, SyntaxError, RuntimeError, RecursionError,
    tokenize.TokenError, zipfile.BadZipFile, zlib.error, OverflowError, MemoryError, OSError,
)  # fmt: skip
KINDS = "biufcU"  # of numbers and of text
END = b"PK\x05\x06"  # of an archive, 22 bytes before its end
MARKS = {b"\x93NUMPY": "an .npy file of one array", b"PK\x03\x04": "a truncated .npz"}
FREE, RATIO = 1 << 30, 200  # bytes that any file may unpack to; beyond, a multiple of its own size


def read_arrays(path: Path, holding: str) -> dict[str, np.ndarray[Any, Any]]:
    """Read every array of an .npz file.

    Parameters
    ----------
    path : Path
    holding : str
        What the file should hold, for an error's words.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    ValueError
        If it is another kind of file, is damaged, holds Python objects, or unpacks to more
        than 1 GiB and 200 times its own size.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from rmtstab._npz import read_arrays
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(Path(folder) / "a.npz", retain=np.eye(2))
    ...     read_arrays(Path(folder) / "a.npz", "`retain`")["retain"].shape
    (2, 2)
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
        raise ValueError(f"{path} must be an .npz file, got a folder or a pipe")
    with open(path, "rb") as file:
        start = file.read(6)
        if not _is_archive(file):
            kind = next(
                (words for mark, words in MARKS.items() if start.startswith(mark)), "no .npz"
            )
            raise ValueError(
                f"{path} must be an .npz written by numpy.savez with {holding}, got {kind}"
            )
        try:
            file.seek(-len(END) - 18, os.SEEK_END)
            mark, count = struct.unpack("<4s6xH10x", file.read())
            with zipfile.ZipFile(file) as archive:
                # a length changed in the directory hides the members that follow
                if mark != END or count != len(archive.infolist()):
                    raise ValueError(f"{len(archive.infolist())} members of {count}")
                return _unpacked(archive, os.fstat(file.fileno()).st_size)
        except DAMAGE as error:
            words = " ".join(str(error).split())[:200] or type(error).__name__
            raise ValueError(
                f"{path} must be a whole .npz of numbers, got a damaged one: {words}"
            ) from None


def _is_archive(file: IO[bytes]) -> bool:
    try:
        return zipfile.is_zipfile(file)
    except DAMAGE:
        return False


def _unpacked(archive: zipfile.ZipFile, size: int) -> dict[str, np.ndarray[Any, Any]]:
    members = archive.infolist()
    promised = sum(member.file_size for member in members)
    if promised > max(FREE, RATIO * size):
        raise ValueError(f"{size} bytes that unpack to {promised}")
    found = {}
    for member in members:
        name = member.filename.removesuffix(".npy")
        if name in found or name == member.filename:
            raise ValueError(f"{member.filename!r}, no array of its own name")
        with archive.open(member) as packed:
            _check_header(packed, member.file_size, name)
        with archive.open(member) as packed:
            found[name] = np.lib.format.read_array(packed, allow_pickle=False)
            if packed.read(1):  # to its end, where the checksum is compared
                raise ValueError(f"{name!r} is followed by more than its array")
    return found


def _check_header(packed: IO[bytes], size: int, name: str) -> None:
    """Refuse an array that is no numbers, or that does not fill its part of the archive."""
    version = np.lib.format.read_magic(packed)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)  # fmt: skip
    if read is None:
        raise ValueError(f"{name!r} is of version {version} of the format")
    shape, _, dtype = read(packed)
    if dtype.kind not in KINDS:
        raise ValueError(f"{name!r} holds {dtype}, neither numbers nor text")
    if (
        any(length < 0 for length in shape)
        or packed.tell() + math.prod(shape) * dtype.itemsize != size
    ):
        raise ValueError(f"{name!r} of shape {shape} does not fill its {size} bytes")
