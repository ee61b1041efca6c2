"""What a model or a loss of the user's raised, in one line."""

from __future__ import annotations


def first_line(error: BaseException | None) -> str:
    r"""Kind of an error and the first line of what it says, if it says anything.

    Examples
    --------
    >>> first_line(RuntimeError("shapes differ\nlong story")), first_line(KeyError())
    ('RuntimeError: shapes differ', 'KeyError')
    """
    kind, said = type(error).__name__, str(error).strip()
    return f"{kind}: {said.splitlines()[0]}" if said else kind
