"""What ``runsink prune`` does."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from typing import Final

import attrs
import click

from adapters.group_commit import GroupCommitWriter
from adapters.sqlite.compaction import Space
from adapters.system_clock import SystemClock
from core.errors import HorizonError, StoreError, StoreTimeoutError
from core.model.listing import Cursor, RunFilter
from core.model.run import Timestamp, shown_time
from core.ports.store import Store
from core.use_cases.retention import check_horizon, count_before, prune_slice, raise_horizon
from core.validation.fields import InvalidValueError, parse_timestamp
from entrypoints.cli.databases import open_existing, status_of
from entrypoints.cli.terminal import Progress, print_result
from entrypoints.databases import return_space
from entrypoints.exits import INTERRUPTED, UNAVAILABLE, WRONG_USAGE, end_with

PAUSE_SHARE: Final = 2.0
"""How long to pause after each slice, as a multiple of the time that the slice took: the time that others have to write
for each slice. Pauses also let the checkpoints keep up."""

MAX_PAUSE_SECONDS: Final = 1.0
"""A slice that took long was waiting for others, and need not wait again."""

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@attrs.define
class Pruning:
    """What is known about a prune. ``runs`` start before the date, of ``total``; ``None`` if counting took too long."""

    before: Timestamp
    horizon: Timestamp | None
    runs: int | None
    total: int
    deleted: int = 0
    space: Space | None = None

    def shown(self, *, dry_run: bool) -> dict[str, object]:
        """Return it for programs."""
        return {
            "before": shown_time(self.before),
            "horizon": None if self.horizon is None else shown_time(self.horizon),
            "dry_run": dry_run,
            "runs": self.runs,
            "total": self.total,
            "deleted": self.deleted,
            "bytes_returned": self.space.returned_bytes if self.space else None,
            "bytes_free": self.space.free_bytes if self.space else None,
        }


def parse_date(value: str) -> Timestamp:
    """Return the instant of a date (its midnight in UTC) or of a timestamp with an offset; end with 2 for any other."""
    try:
        return parse_timestamp(f"{value}T00:00:00Z" if _DATE.fullmatch(value) else value)
    except InvalidValueError:
        raise click.BadParameter(
            f"{value!r} is neither a date, such as 2026-01-31, nor a timestamp with an offset, "
            "such as 2026-01-31T12:00:00Z",
            param_hint="--before",
        ) from None


def prune_database(before: Timestamp, database: str, *, yes: bool, as_json: bool) -> None:
    """Prune, or with ``yes`` unset only count, and print the result; end with the exit status if that fails."""
    try:
        pruning = _prune(database, before, yes=yes)
    except HorizonError as error:
        end_with(error, WRONG_USAGE)
    except StoreError as error:
        status = status_of(error)
        end_with(f"{error}; run the same command again to go on" if status == UNAVAILABLE else error, status)
    except KeyboardInterrupt:
        end_with("interrupted; run the same command again to go on", INTERRUPTED)
    if as_json:
        print_result(json.dumps(pruning.shown(dry_run=not yes)))
    else:
        print_result(_report(pruning) if yes else _forecast(pruning))


def _prune(database: str, before: Timestamp, *, yes: bool) -> Pruning:
    """Count, and with ``yes`` delete and return space.

    Raises:
        HorizonError: the horizon cannot be raised to this instant.
        StoreError: the store failed, or stayed busy.
    """
    with closing(open_existing(database)) as store:
        pruning = _count(store, before)
        if yes:
            _delete(store, pruning)
    if yes:
        pruning.space = return_space(database)
    return pruning


def _count(store: Store, before: Timestamp) -> Pruning:
    with store.reader() as runs:
        check_horizon(before, SystemClock().now(), runs)
        pruning = Pruning(before, runs.retention_horizon(), None, runs.count(RunFilter()))
    with suppress(StoreTimeoutError), store.reader() as runs:
        pruning.runs = count_before(before, runs)
    return pruning


def _delete(store: Store, pruning: Pruning) -> None:
    """Raise the horizon, then delete slice by slice."""
    with closing(GroupCommitWriter(store)) as writer, Progress("prune", pruning.runs, "runs") as progress:
        writer.submit(partial(raise_horizon, pruning.before, SystemClock().now())).result()
        pruning.horizon = pruning.before
        try:
            for count in _slices(writer):
                pruning.deleted += count
                progress.update(pruning.deleted, pruning.deleted)
        except KeyboardInterrupt:
            progress.clear()
            end_with(
                f"interrupted after {pruning.deleted:,} runs; the horizon is in force, "
                "and the same command deletes the rest",
                INTERRUPTED,
            )


def _slices(writer: GroupCommitWriter) -> Iterator[int]:
    """Delete slice by slice, pausing in between; yield the number of runs in each once that is durable."""
    cursor: Cursor | None = None
    while True:
        begun = time.monotonic()
        removed = writer.submit(partial(prune_slice, cursor)).result()
        yield removed.runs
        cursor = removed.next_cursor
        if cursor is None:
            return
        time.sleep(min(MAX_PAUSE_SECONDS, PAUSE_SHARE * (time.monotonic() - begun)))


def _forecast(pruning: Pruning) -> str:
    horizon = "none" if pruning.horizon is None else shown_time(pruning.horizon)
    runs = "an unknown number, too many to count in time," if pruning.runs is None else f"{pruning.runs:,}"
    return (
        f"{runs} of {pruning.total:,} runs start before {shown_time(pruning.before)} and would be deleted\n"
        f"retention horizon in force: {horizon}\n"
        "nothing was changed; add --yes to delete them and to reject such runs from then on"
    )


def _report(pruning: Pruning) -> str:
    lines = [
        f"{pruning.deleted:,} runs deleted",
        f"runs that start before {shown_time(pruning.before)} are rejected from now on",
    ]
    if pruning.space and pruning.space.returned_bytes:
        lines.append(f"{pruning.space.returned_bytes:,} bytes given back to the disk")
    if pruning.space and pruning.space.free_bytes:
        lines.append(
            f"{pruning.space.free_bytes:,} bytes of the file are free for later runs; "
            "to give many back to the disk, run the same command while no server has the file open"
        )
    return "\n".join(lines)
