"""Command line: ``rmtstab validate | frontier | law | report | verify``.

Each command lives in the file of its name and loads when it is called.
Exit codes: 0 all claims hold, 1 a claim fails, 2 usage or input error (70 the
run broke, 130 it was interrupted).
"""

from __future__ import annotations

import importlib
import importlib.util

import click


class LazyGroup(click.Group):
    """A group whose commands are the modules beside this file, imported on use."""

    names = ("validate", "frontier", "law", "report", "verify")

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands that exist."""
        return [name for name in self.names if importlib.util.find_spec(f"rmtstab.cli.{name}")]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import ``rmtstab.cli.<name>`` and return its command of that name."""
        if name not in self.list_commands(ctx):
            return None
        command: click.Command = getattr(importlib.import_module(f"rmtstab.cli.{name}"), name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rmtstab")
def main() -> None:
    """Stability of gradient unlearning: laws, thresholds, and their check on real networks."""
