"""End a command with an error message."""

import re
import sys
from typing import NoReturn

import click

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def end_with(reason: object, status: int = 1) -> NoReturn:
    """Exit with one line on stderr.

    The reason may quote client input, so line breaks and terminal control characters are escaped.
    """
    line = _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), str(reason))
    click.echo(f"runsink: {line}", err=True)
    sys.exit(status)
