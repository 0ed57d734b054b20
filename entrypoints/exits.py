"""How a command says why it could not do what it was asked."""

import re
import sys
from typing import NoReturn

import click

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def end_with(reason: object, status: int = 1) -> NoReturn:
    """End the process with one line on stderr.

    The reason may quote what clients sent, so whatever would begin another line or command a terminal is escaped.
    """
    line = _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), str(reason))
    click.echo(f"runsink: {line}", err=True)
    sys.exit(status)
