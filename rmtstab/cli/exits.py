"""Exit codes: one for each way to end, the same for every command."""

CLAIM_FAILS = 1  # a claim was judged, and fails
USAGE = 2  # wrong arguments or input
CELLS_RAISED = 3  # a sweep is complete but for cells that raised
UNAVAILABLE = 69  # a library or a scheduler is not there
CRASHED = 70  # a fault of the program's own
IO_ERROR = 74  # a file cannot be read or written: no space, no permission
INTERRUPTED = 130  # by the keyboard; the same command goes on
