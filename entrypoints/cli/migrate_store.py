"""The command line: ``runsink migrate-store FROM TO``."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click

from adapters.group_commit import GroupCommitWriter
from core.errors import StoreError, StoreUnusableError
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
from entrypoints.databases import is_url, open_database, shown_database
from entrypoints.exits import end_with

_PASSES = 2
"""The first goes on where an earlier call stopped. If something older is missing, the second begins there."""


@click.command("migrate-store")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
def migrate_store(source: str, target: str) -> None:
    """Copy every run of the database FROM into the database TO, then check that both hold the same.

    Each is the path of an SQLite file or a URL, postgresql://…; TO is created if missing. What is in TO already is
    left alone, so a migration that was broken off goes on when it is called again. What TO has pruned does not come
    back. Stop the servers that write to either of them first.
    """
    try:
        with _opened(source, target) as stores:
            since = read_horizon(stores[1])
            difference = _migrate(*stores, since)
    except StoreError as error:
        end_with(error)
    if difference is not None:
        end_with(f"the stores differ: {difference}; stop what writes to them, or name an empty database")
    part = "" if since is None else f" from its retention horizon {shown_time(since)} on"
    click.echo(f"{shown_database(target)} holds the same runs as {shown_database(source)}{part}")


@contextmanager
def _opened(source: str, target: str) -> Iterator[tuple[Store, Store]]:
    """Both stores, of which the first has to be there."""
    if not is_url(source) and _file_id(source) is None:
        raise StoreUnusableError(f"cannot use {source!r}: there is no such file")
    if _are_same(source, target):
        raise StoreUnusableError(f"cannot copy {shown_database(source)} onto itself; name another database")
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
        with click.progressbar(length=_count(source), label="checking", file=sys.stderr) as bar:
            difference = first_difference(source, target, bar.update, since)
        if difference is None:
            with _writing(target) as write:
                carry_horizon(source, write)
            return None
        after = difference.after
    return difference


def _copy(source: Store, target: Store, after: Cursor | None, since: Timestamp | None) -> None:
    done, total = _count(target), _count(source)
    progressbar = click.progressbar(length=total, label="copying", file=sys.stderr)
    with _writing(target) as write, progressbar as bar:
        bar.update(min(done, total))
        copy_runs(source, write, after, bar.update, since)


@contextmanager
def _writing(target: Store) -> Iterator[Write]:
    with closing(GroupCommitWriter(target)) as writer:
        yield lambda command: writer.submit(command).result()


def _count(store: Store) -> int:
    with store.reader() as runs:
        return runs.count(RunFilter())
