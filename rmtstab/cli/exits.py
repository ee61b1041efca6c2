"""Exit codes: one for each way to end, the same for every command."""

from __future__ import annotations

CLAIM_FAILS = 1  # a claim was judged, and fails
USAGE = 2  # wrong arguments or input
CELLS_RAISED = 3  # a sweep is complete but for cells that raised
DAMAGED = 65  # the records of a run are damaged, or another version's
UNAVAILABLE = 69  # a library or a scheduler is not there
CRASHED = 70  # a fault of the program's own
IN_THE_WAY = 73  # something else has the place of a file or a folder, or it may not be written
IO_ERROR = 74  # a file cannot be read or written: no space, a failing disk
IN_USE = 75  # another run holds the folder
INTERRUPTED = 130  # by the keyboard; the same command goes on


def code_of(error: OSError) -> int:
    """Return the exit code of what the system refused.

    Parameters
    ----------
    error : OSError

    Returns
    -------
    int

    Examples
    --------
    >>> from rmtstab.cli.exits import code_of
    >>> code_of(FileExistsError()), code_of(OSError(28, "No space left on device"))
    (73, 74)
    """
    from rmtstab.sweeps.files import FolderInUse  # numpy, which --version need not load

    if isinstance(error, FolderInUse):
        return IN_USE
    if isinstance(error, ConnectionError):  # a scheduler's
        return UNAVAILABLE
    refused = (FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
    return IN_THE_WAY if isinstance(error, refused) else IO_ERROR
