"""Command line: ``rmtstab validate | verify | frontier | diagnose | sweep | law | report | info``.

Each command lives in the file of its name and loads when it is called.
Exit codes, one for each way to end, are in `rmtstab.cli.exits` and in ``docs/cli``.
"""

from __future__ import annotations

import errno
import importlib
import importlib.util
import traceback
from typing import Any

import click

import rmtstab
from rmtstab.cli import exits


class LazyGroup(click.Group):
    """A group whose commands are the modules beside this file, imported on use."""

    names = ("validate", "verify", "frontier", "diagnose", "sweep", "law", "report", "info")

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands that exist."""
        return [name for name in self.names if importlib.util.find_spec(f"rmtstab.cli.{name}")]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import ``rmtstab.cli.<name>`` and return its command of that name."""
        if name not in self.list_commands(ctx):
            return None
        command: click.Command = getattr(importlib.import_module(f"rmtstab.cli.{name}"), name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the group's own options; wrong ones give one line."""
        try:
            return super().parse_args(ctx, args)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            ctx.exit(_usage(error))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; wrong input and what the machine refuses are one line and a code."""
        try:
            return super().invoke(ctx)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            code = _usage(error)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            code = exits.INTERRUPTED
        except ImportError as error:
            click.echo(f"Error: {error}", err=True)
            code = exits.UNAVAILABLE
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of our output has left
                raise
            click.echo(f"Error: {error}", err=True)
            code = exits.code_of(error)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception:  # Python would end with 1, which is a claim that fails
            traceback.print_exc()
            click.echo("Error: a fault of the program; `rmtstab info` helps to report it", err=True)
            code = exits.CRASHED
        ctx.exit(code)


def _usage(error: click.UsageError) -> int:
    """Say in one line what is wrong, and where the usage stands; return the exit code."""
    command = error.ctx.command_path if error.ctx else "rmtstab"
    message = " ".join(error.format_message().split())
    end = "" if message.endswith((".", "?")) else "."
    click.echo(f"Error: {message}{end} See {command} --help.", err=True)
    return exits.USAGE


@click.group(
    name="rmtstab",
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 a claim fails, 2 wrong input, 3 cells of a sweep raised, "
    "65 damaged records, 69 a library or scheduler is missing, 70 a fault of the program, "
    "73 something is in the way, 74 no space or a failing disk, 75 in use by another run, "
    "130 interrupted.",
)
@click.version_option(rmtstab.__version__, prog_name="rmtstab")
def main() -> None:
    """Stability of gradient unlearning: laws, thresholds, and their check on real networks."""
