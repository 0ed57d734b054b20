"""What ``runsink migrate-store`` does."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from adapters.group_commit import GroupCommitWriter
from core.errors import StoreError
from core.model.listing import Cursor, RunFilter
from core.model.run import Timestamp, shown_time
from core.ports.store import Store
from core.use_cases.copy_store import (
    Difference,
    Write,
    carry_horizon,
    copy_runs,
    first_difference,
    read_horizon,
    resume_after,
)
from entrypoints.cli.databases import status_of
from entrypoints.cli.terminal import Progress, print_result, say
from entrypoints.database_urls import is_url, shown_database
from entrypoints.databases import DatabaseNameError, open_database
from entrypoints.exits import INTERRUPTED, REJECTED, end_with

_PASSES = 2
"""The first goes on where an earlier call stopped. If something older is missing, the second begins there."""


def migrate(source: str, target: str, *, as_json: bool) -> None:
    """Copy the runs, compare both stores, and print the result; end with the exit status if they differ."""
    try:
        with _opened(source, target) as stores:
            since = read_horizon(stores[1])
            difference = _migrate(*stores, since)
            runs = _count(stores[1])
    except StoreError as error:
        end_with(error, status_of(error))
    except KeyboardInterrupt:
        end_with("interrupted; run the same command again to go on", INTERRUPTED)
    names = shown_database(source), shown_database(target)
    if as_json:
        told = None if difference is None else str(difference)
        horizon = None if since is None else shown_time(since)
        facts = {"from": names[0], "to": names[1], "runs": runs, "since": horizon, "difference": told}
        print_result(json.dumps(facts))
    elif difference is None:
        part = "" if since is None else f" from its retention horizon {shown_time(since)} on"
        print_result(f"{names[1]} holds the same runs as {names[0]}{part}")
    if difference is not None:
        say(f"the stores differ: {difference}; stop what writes to them, or name an empty database")
        sys.exit(REJECTED)


@contextmanager
def _opened(source: str, target: str) -> Iterator[tuple[Store, Store]]:
    """Both stores, of which the first has to be there."""
    if not is_url(source) and _file_id(source) is None:
        raise DatabaseNameError(f"cannot use {source!r}: there is no such file")
    if _are_same(source, target):
        raise DatabaseNameError(f"cannot copy {shown_database(source)} onto itself; name another database")
    with closing(open_database(source)) as ours, closing(open_database(target)) as theirs:
        yield ours, theirs


def _are_same(source: str, target: str) -> bool:
    if is_url(source) or is_url(target):
        return source == target
    return _file_id(source) == _file_id(target)


def _file_id(path: str) -> tuple[int, int] | None:
    """Return what all names of one file have in common, links of either kind included; ``None`` if there is no file."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _migrate(source: Store, target: Store, since: Timestamp | None) -> Difference | None:
    """Copy until nothing differs, or until it is clear that copying does not help; say what differs then."""
    after, difference = resume_after(target), None
    for _ in range(_PASSES):
        _copy(source, target, after, since)
        with _progress("checking", _count(source)) as advance:
            difference = first_difference(source, target, advance, since)
        if difference is None:
            with _writing(target) as write:
                carry_horizon(source, write)
            return None
        after = difference.after
    return difference


def _copy(source: Store, target: Store, after: Cursor | None, since: Timestamp | None) -> None:
    counts = _count(source), _count(target)
    with _writing(target) as write, _progress("copying", *counts) as advance:
        copy_runs(source, write, after, advance, since)


@contextmanager
def _writing(target: Store) -> Iterator[Write]:
    with closing(GroupCommitWriter(target)) as writer:
        yield lambda command: writer.submit(command).result()


@contextmanager
def _progress(label: str, total: int, before: int = 0) -> Iterator[Callable[[int], None]]:
    """Show how many of ``total`` runs are done, of which ``before`` were done earlier."""
    done = 0
    with Progress(label, total, "runs") as progress:

        def advance(runs: int) -> None:
            nonlocal done
            done += runs
            progress.update(done, before + done)

        yield advance


def _count(store: Store) -> int:
    with store.reader() as runs:
        return runs.count(RunFilter())
