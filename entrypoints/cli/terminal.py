"""What commands write for people: messages, progress and tables. Messages and progress go to stderr.

Nothing is coloured, so ``NO_COLOR`` has nothing to turn off; on a terminal that is dumb there is no progress either.
"""

import os
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

import click

from entrypoints.exits import end_with, printable

_REDRAW_SECONDS: Final = 0.1
_BAR_CELLS: Final = 16
_ERASE_LINE: Final = "\r\x1b[K"


def say(message: object) -> None:
    """Print a message on a line of its own."""
    click.echo(f"runsink: {printable(message)}", err=True)


def print_result(text: str) -> None:
    """Print data on stdout; end with 1 if it cannot be written. A reader that has left has seen enough."""
    try:
        click.echo(text)
    except BrokenPipeError:
        abandon_stdout()
    except OSError as error:
        abandon_stdout()
        end_with(f"cannot write to standard output: {error.strerror}")


def abandon_stdout() -> None:
    """Send the rest of stdout nowhere: whoever read it has seen enough, and Python would fail to flush it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Progress:
    """A line on a terminal that says how far something is; elsewhere nothing.

    ``done`` and ``whole`` are bytes, from which the time remaining is estimated; ``whole`` may be unknown.
    """

    def __init__(self, label: str, whole: int | None, unit: str) -> None:
        self._label = printable(label)
        self._whole = whole
        self._unit = unit
        self._shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._begun = time.monotonic()
        self._drawn_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def clear(self) -> None:
        """Remove the line, so that something else can be printed."""
        if self._shown and self._drawn_at:
            sys.stderr.write(_ERASE_LINE)
            sys.stderr.flush()
            self._drawn_at = 0.0

    def update(self, items: int, done: int, whole: int | None = None) -> None:
        """Show that so many items and bytes are done."""
        now = time.monotonic()
        if self._shown and now - self._drawn_at >= _REDRAW_SECONDS:
            self._drawn_at = now
            seconds, bytes_in_all = now - self._begun, whole or self._whole
            share = done / bytes_in_all if bytes_in_all else None
            line = format_progress(f"{self._label}  {format_rate(items, self._unit, seconds)}", share, seconds)
            sys.stderr.write(_ERASE_LINE + line[: _terminal_columns() - 1])
            sys.stderr.flush()


def format_rate(items: int, unit: str, seconds: float) -> str:
    """Return how many items are done and how many that is a second."""
    return f"{items:,} {unit}  {items / max(seconds, 0.001):,.0f} {unit}/s"


def format_progress(text: str, share: float | None, seconds: float) -> str:
    """Return the text with a bar and the time remaining, as far as it is known which share is done."""
    if share is None:
        return text
    share = min(share, 1.0)
    filled = int(share * _BAR_CELLS)
    line = f"{text}  [{'#' * filled}{'-' * (_BAR_CELLS - filled)}] {share:4.0%}"
    return f"{line}  {format_duration(seconds / share - seconds)} left" if share else line


def format_duration(seconds: float) -> str:
    """Return hours, minutes and seconds as ``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _terminal_columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except OSError:
        return 80


def format_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table: the first column to the left, numbers to the right."""
    lines = [list(headings), *([f"{cell:,}" if type(cell) is int else printable(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    )
