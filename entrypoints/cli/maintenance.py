"""What the commands that look after a database share."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import attrs

from adapters.sqlite.maintenance import CopyProgress, WrongFileError
from adapters.store_check import Advance, StoreReport
from core.errors import RunsinkError, StoreError
from core.model.run import Timestamp, shown_time
from entrypoints.cli.databases import status_of
from entrypoints.cli.terminal import Progress, print_result
from entrypoints.exits import INTERRUPTED, REJECTED, WRONG_USAGE, end_with
from entrypoints.maintenance import NoFileError

_CHECK_NICENESS: Final = 10


class Screen:
    """Lines on a terminal that say how far a command is, one after the other."""

    def __init__(self) -> None:
        self._lines: list[Progress] = []

    def show(self, label: str, unit: str) -> Advance:
        """Return what shows how many of how many units are done; it removes its line at the end."""
        line = Progress(label, None, unit)
        self._lines.append(line)

        def advance(done: int, whole: int) -> None:
            if done < whole:
                line.update(done, done, whole)
            else:
                line.clear()

        return advance

    def show_copy(self, name: str) -> CopyProgress:
        """Return what shows how far a copy to this file is."""
        return CopyProgress(
            copying=self.show(f"copying {name}", "pages"),
            # While the copy is checked nobody waits for it, so servers go first.
            copied=lambda: os.nice(_CHECK_NICENESS),
            checking=self.show(f"checking {name}", "runs"),
        )

    def clear(self) -> None:
        """Remove what is shown, so that something else can be printed."""
        for line in self._lines:
            line.clear()


@contextmanager
def at_work(interrupted: str) -> Iterator[Screen]:
    """Show how far the block is, and end the command with one line and an exit status if it fails."""
    screen = Screen()
    try:
        yield screen
    except RunsinkError as error:
        screen.clear()
        end_with(error, _status_of(error))
    except KeyboardInterrupt:
        screen.clear()
        end_with(f"interrupted; {interrupted}", INTERRUPTED)


def _status_of(error: RunsinkError) -> int:
    if isinstance(error, (WrongFileError, NoFileError)):
        return WRONG_USAGE
    return status_of(error) if isinstance(error, StoreError) else REJECTED


def facts_of(report: StoreReport) -> Mapping[str, Any]:
    """Return what a report counts and measures, by name, with times as they are shown."""
    facts = attrs.asdict(report, filter=lambda field, _: field.name != "problems")
    return {name: shown_time(Timestamp(value)) if isinstance(value, str) else value for name, value in facts.items()}


def show(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the facts on stdout: as one JSON object, or those that are known a line each."""
    if as_json:
        print_result(json.dumps(facts))
        return
    known = {name.replace("_", " "): value for name, value in facts.items() if value is not None}
    width = max(map(len, known))
    for name, value in known.items():
        print_result(f"{name:{width}}  {value:,}" if type(value) is int else f"{name:{width}}  {value}")
