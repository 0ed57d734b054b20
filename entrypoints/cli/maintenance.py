"""What the commands that look after a database share."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import attrs
import click

from adapters.sqlite.maintenance import CopyProgress, WrongFileError
from adapters.store_check import Advance, StoreReport
from core.errors import StoreBusyError, StoreError
from entrypoints.cli.terminal import Progress
from entrypoints.configuration import load_settings
from entrypoints.exits import INTERRUPTED, REJECTED, UNAVAILABLE, WRONG_USAGE, end_with
from entrypoints.maintenance import NoFileError
from entrypoints.settings import Settings

_CHECK_NICENESS: Final = 10

_Command = TypeVar("_Command", bound=Callable[..., Any])

database_option: Callable[[_Command], _Command] = click.option(
    "--db", metavar="DB", help="The database; by default the one that `runsink serve` would use."
)


def settings_with(db: str | None) -> Settings:
    """Return the settings of a server, with this database if one is given; end the command if they are invalid."""
    try:
        return load_settings({} if db is None else {"db": db})
    except ValueError as error:
        end_with(error, WRONG_USAGE)


def showing(label: str, unit: str) -> Advance:
    """Return what shows, on a terminal, how many of how many units are done; it removes its line at the end."""
    progress = Progress(label, None, unit)

    def advance(done: int, whole: int) -> None:
        progress.clear() if done >= whole else progress.update(done, done, whole)

    return advance


def showing_copy(name: str) -> CopyProgress:
    """Return what shows how far a copy to this file is."""
    return CopyProgress(
        copying=showing(f"copying {name}", "pages"),
        # While the copy is checked nobody waits for it, so servers go first.
        copied=lambda: os.nice(_CHECK_NICENESS),
        checking=showing(f"checking {name}", "runs"),
    )


@contextmanager
def ending(interrupted: str) -> Iterator[None]:
    """End the command with one line and an exit status if the block fails."""
    try:
        yield
    except (StoreError, NoFileError) as error:
        end_with(error, _status_of(error))
    except KeyboardInterrupt:
        end_with(f"interrupted; {interrupted}", INTERRUPTED)


def _status_of(error: Exception) -> int:
    if isinstance(error, (WrongFileError, NoFileError)):
        return WRONG_USAGE
    return UNAVAILABLE if isinstance(error, StoreBusyError) else REJECTED


def facts_of(report: StoreReport) -> Mapping[str, Any]:
    """Return what a report counts and measures, by name."""
    return attrs.asdict(report, filter=lambda field, _: field.name != "problems")


def show(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the facts on stdout: as one JSON object, or those that are known a line each."""
    if as_json:
        click.echo(json.dumps(facts))
        return
    known = {name.replace("_", " "): value for name, value in facts.items() if value is not None}
    width = max(map(len, known))
    for name, value in known.items():
        click.echo(f"{name:{width}}  {value:,}" if type(value) is int else f"{name:{width}}  {value}")
