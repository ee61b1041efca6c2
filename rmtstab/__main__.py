"""``python -m rmtstab``: the command line."""

from rmtstab.cli import main

main(prog_name="rmtstab")
