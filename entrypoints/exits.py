"""End a command with an error message and an exit status."""

import re
import sys
from typing import Final, NoReturn

import click

REJECTED: Final = 1
"""Something was rejected or is damaged."""
WRONG_USAGE: Final = 2
"""The command or a setting is wrong."""
UNAVAILABLE: Final = 75
"""The server could not be reached, or stayed busy; the same command may succeed later (EX_TEMPFAIL)."""
INTERRUPTED: Final = 130
"""Ctrl-C, as shells report it."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def printable(text: object) -> str:
    """Return the text on one line, with whatever would begin another line or command a terminal escaped."""
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), str(text))


def end_with(reason: object, status: int = REJECTED) -> NoReturn:
    """End the process with one line on stderr. The reason may quote what clients sent."""
    click.echo(f"runsink: {printable(reason)}", err=True)
    sys.exit(status)
