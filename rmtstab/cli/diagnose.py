"""``rmtstab diagnose``: what a run of unlearning will do to the user's own network."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from rmtstab.cli.out_file import OutFile
from rmtstab.cli.output import json_option, print_json
from rmtstab.sampling import SAMPLINGS
from rmtstab.sweeps.files import write_atomically

REFUSALS = (TypeError, ValueError, ImportError, OSError, MemoryError)
NAMES = ("model", "loss", "retain", "forget", "test")
OPTIONAL = ("forget_loss", "batch_size")


class Diagnose(click.Command):
    """The command, which still takes ``--json FILE.json`` for ``--out FILE.json``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments, those of the former form too."""
        words: list[str] = []
        for word in args:
            if word.startswith("--json=") or (words[-1:] == ["--json"] and word.endswith(".json")):
                words = words[: len(words) - (words[-1:] == ["--json"])]
                word = f"--out={word.removeprefix('--json=')}"
            words.append(word)
        return super().parse_args(ctx, words)


@click.command(cls=Diagnose)
@click.argument("entry", metavar="FILE.py:FUNCTION")
@click.option("--step-size", type=float, required=True, help="η.")
@click.option(
    "--batch-size", help="B, or B_r/B_f.  [default: that of the loaders]", metavar="INT[/INT]"
)
@click.option("--alpha", type=float, default=0.5, show_default=True, help="Mixing in [0, 1].")
@click.option("--steps", type=int, help="Horizon.  [default: one epoch of the retain set]")
@click.option("--replicas", type=int, default=8, show_default=True)
@click.option(
    "--sampling",
    default="without_replacement",
    show_default=True,
    type=click.Choice([*SAMPLINGS, "shuffled"]),
)
@click.option("--momentum", type=float, default=0.0, show_default=True)
@click.option("--weight-decay", type=float, default=0.0, show_default=True)
@click.option(
    "--update",
    default="simultaneous",
    show_default=True,
    type=click.Choice(["simultaneous", "alternating"]),
)
@click.option("--retain-budget", type=float, help="Retain loss that may be reached.")
@click.option("--forget-level", type=float, default=0.5, show_default=True)
@click.option("--collapse-level", type=float, default=0.8, show_default=True)
@click.option("--max-samples", type=int, help="Use a random subset of each set.")
@click.option("--device", help="Where to compute.  [default: where the model is]")
@click.option(
    "--checkpoint",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="State dict to load into the model (weights only).",
)
@click.option("--seed", type=int, default=0, show_default=True)
@json_option
@click.option(
    "--out",
    multiple=True,
    type=OutFile(".html", ".json"),
    help="Write the page (.html) or the answer (.json) here; repeatable.",
)
@click.option("--quiet", is_flag=True, help="No plan, no progress bar.")
def diagnose(
    entry: str,
    batch_size: str | None,
    checkpoint: Path | None,
    seed: int,
    as_json: bool,
    out: tuple[Path, ...],
    quiet: bool,
    **options: Any,
) -> None:
    """Tell before the run whether unlearning forgets, collapses or does nothing, and when.

    FUNCTION of FILE.py takes no arguments and returns (model, loss, retain, forget) or
    (model, loss, retain, forget, test), or a dict with these keys and, where wanted, forget_loss
    and batch_size (--batch-size goes before it). What they print goes to standard error.
    """
    with contextlib.redirect_stdout(sys.stderr):  # the user's prints: the answer stands alone
        answer = _answer(entry, batch_size, checkpoint, seed, progress=not quiet, **options)
    if as_json:
        print_json(answer.to_dict())
    else:
        click.echo(answer.words())
    for path in out:
        write_atomically(
            path, answer.to_html() if path.suffix.lower() == ".html" else answer.to_json()
        )
        click.echo(f"written: {path}", err=as_json)


def _answer(
    entry: str, batch_size: str | None, checkpoint: Path | None, seed: int, **options: Any
) -> Any:
    """Call the user's function and diagnose what it returned."""
    with _raising(entry):
        given = _entry(entry)()
    try:
        found = _read(entry, given)
        if batch_size is not None:
            found["batch_size"] = _batches(batch_size)
        if checkpoint is not None:
            _restore(found["model"], checkpoint)
        from rmtstab import bridge

        return bridge.diagnose(**found, rng=seed, seed=seed, **options)
    except click.ClickException:
        raise
    except SystemExit as error:
        raise _ended(entry, error) from None
    except Exception as error:
        trace = _own_trace(error, Path(entry.rpartition(":")[0]).resolve().parent)
        if trace is None and not isinstance(error, REFUSALS):
            raise
        click.echo(trace or "", err=True, nl=False)
        said = str(error) or type(error).__name__
        raise click.UsageError(said + ("; its traceback is above" if trace else "")) from error


@contextlib.contextmanager
def _raising(what: str, when: str = "") -> Iterator[None]:
    """Show the traceback of what the user's code raises, and say in one line whose it was."""
    try:
        yield
    except click.ClickException:
        raise
    except SystemExit as error:
        raise _ended(what, error) from None
    except Exception:
        click.echo(traceback.format_exc(), err=True)
        raise click.UsageError(f"{what} raised{when}; its traceback is above") from None


def _ended(what: str, error: SystemExit) -> click.UsageError:
    """The user's code has ended the program: an answer is not reached, whatever its code says."""
    return click.UsageError(f"{what} must return, got sys.exit({error.code!r})")


def _own_trace(error: BaseException, folder: Path) -> str | None:
    """Traceback of an error's first cause from the user's own code on; None outside it."""
    while error.__cause__ is not None:
        error = error.__cause__
    frames = traceback.extract_tb(error.__traceback__)
    own = [k for k, frame in enumerate(frames) if folder in Path(frame.filename).parents]
    if not own:
        return None
    lines = traceback.format_list(frames[own[0] :]) + traceback.format_exception_only(error)
    return "Traceback (most recent call last):\n" + "".join(lines)


def _entry(entry: str) -> Callable[[], Any]:
    """Import the user's file and return the function named in it."""
    file, _, name = entry.rpartition(":")
    if not file or not name:
        raise click.UsageError(f"entry must be FILE.py:FUNCTION, got {entry!r}")
    path = Path(file).resolve()
    if not path.is_file():
        raise click.UsageError(f"entry must name a file that exists, got {file!r}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise click.UsageError(f"entry must name a Python file, got {file!r}")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    sys.modules[path.stem] = module  # classes of the file can then be found by name
    try:
        with _raising(file, " when imported"):
            spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    function = getattr(module, name, None)
    if not callable(function):
        raise click.UsageError(f"entry must name a function of {file}, got {name!r}")
    return function  # type: ignore[no-any-return]


def _read(entry: str, given: Any) -> dict[str, Any]:
    """Name what the user's function returned."""
    if isinstance(given, Mapping):
        wrong = [key for key in given if key not in NAMES + OPTIONAL]
        missing = [key for key in NAMES[:4] if key not in given]
        if not wrong and not missing:
            return dict(given)
        raise click.UsageError(
            f"{entry} must return keys {', '.join(NAMES + OPTIONAL)}, got {list(given)}"
        )
    if isinstance(given, tuple | list) and len(given) in (4, 5):
        return dict(zip(NAMES, given, strict=False))
    size = f" of {len(given)}" if isinstance(given, tuple | list) else ""
    raise click.UsageError(
        f"{entry} must return (model, loss, retain, forget[, test]), got "
        f"{type(given).__name__}{size}"
    )


def _restore(model: Any, checkpoint: Path) -> None:
    """Load a state dict into a model, or say in one line why it cannot be."""
    import pickle

    import torch

    from rmtstab.bridge.raised import first_line

    rule = f"checkpoint must be a state dict written by torch.save, got {checkpoint}"
    try:
        state = torch.load(checkpoint, weights_only=True, map_location="cpu")
    except (OSError, MemoryError):
        raise
    except pickle.UnpicklingError:  # torch's own advice is to run what is in the file
        raise ValueError(
            f"{rule}, which is none or holds more than tensors; save model.state_dict()"
        ) from None
    except Exception as error:  # other files: whatever the unpickler makes of their bytes
        raise ValueError(f"{rule}: {first_line(error)}") from None
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        said = " ".join(str(error).partition(":\n")[2].split())[:300] or first_line(error)
        raise ValueError(f"checkpoint must fit the model, got {checkpoint}: {said}") from None


def _batches(text: str) -> int | tuple[int, int]:
    parts = text.replace(",", "/").split("/")  # as `frontier` writes pairs, or with a comma
    try:
        sizes = [int(part) for part in parts]
    except ValueError:
        sizes = []
    if len(sizes) not in (1, 2):
        raise ValueError(f"batch_size must be INT or INT/INT, got {text!r}")
    return sizes[0] if len(sizes) == 1 else (sizes[0], sizes[1])
