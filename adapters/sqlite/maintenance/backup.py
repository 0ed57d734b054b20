"""Copy a store file into a new one, from one snapshot and while servers write, and check the copy before it appears.

SQLite's backup interface copies page by page. It begins again whenever another process has written, and beside a busy
server it would never end, so a read transaction is held for its length. Meanwhile the WAL grows; ``VACUUM INTO`` would
hold one twice as long, and the copy would not show damage to indexes, because it builds new ones.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import apsw
import attrs

from adapters.sqlite.disk_space import MIB, free_bytes
from adapters.sqlite.errors import translated_errors
from adapters.sqlite.file import check_file as check_header
from adapters.sqlite.file import resolve
from adapters.sqlite.maintenance.check import check_file
from adapters.sqlite.maintenance.errors import WrongFileError, explained, require_file
from adapters.sqlite.maintenance.new_file import companions_of, new_file
from adapters.sqlite.maintenance.reading import read_unchanged
from adapters.store_check import Advance, StoreReport, ignore_progress
from core.errors import StoreDamagedError, StoreFullError, StoreUnusableError

STEP_PAGES: Final = 2048
"""So many pages are copied between two looks at signals and at the progress."""


@attrs.frozen
class CopyProgress:
    """How far copying is, in pages, and then how far checking the copy is, in runs; ``copied`` is called in between."""

    copying: Advance = ignore_progress
    copied: Callable[[], object] = lambda: None
    checking: Advance = ignore_progress


Finish = Callable[[Path], object]
"""Changes a copy before it appears."""


def back_up(source: Path, target: Path, progress: CopyProgress) -> StoreReport:
    """Copy a store file, which may be in use, to a new file; return the report on the copy.

    Raises:
        WrongFileError: the source does not exist, or the target does.
        StoreUnusableError: one of them cannot be used.
        StoreDamagedError: the source is damaged, so nothing was kept.
        StoreError: reading or writing failed; nothing was kept.
    """
    return _copy_checked(resolve(source), resolve(target), progress)


def restore(source: Path, target: Path, progress: CopyProgress, finish: Finish) -> StoreReport:
    """Copy a backup to where a store is to be, which must not be there; ``finish`` is called with the checked copy.

    Raises:
        WrongFileError: the source does not exist, or the target does, or what belongs to a store that was there.
        StoreUnusableError: one of them cannot be used.
        StoreDamagedError: the backup is damaged, so nothing was kept.
        StoreError: reading or writing failed; nothing was kept.
    """
    target = resolve(target)
    if not target.exists() and (left := companions_of(target)):
        names = " and ".join(path.name for path in left)
        raise WrongFileError(
            f"cannot use {target}: it is not there but {names} is, and a server may still use it or it may hold runs "
            "that were acknowledged; stop the server and move it away together with the database to which it belongs"
        )
    return _copy_checked(resolve(source), target, progress, finish)


def _copy_checked(source: Path, target: Path, progress: CopyProgress, finish: Finish = lambda _: None) -> StoreReport:
    require_file(source)
    with _naming(target), new_file(target) as path:
        with explained(source):
            check_header(source)
            try:
                read_unchanged(source, partial(_copy, path, progress.copying))
            except (apsw.CorruptError, apsw.NotADBError) as error:
                raise _damaged(source, error) from error
        progress.copied()
        report = _check_copy(source, path, progress.checking)
        finish(path)
    return report


def _copy(path: Path, advance: Advance, source: apsw.Connection) -> None:
    """Copy what the source holds now into an existing file, which is worth nothing until that is done."""
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as target, _snapshot(source):
        target.pragma("journal_mode", "off")
        target.pragma("synchronous", "off")
        _check_room(source, path)
        with translated_errors(target), target.backup("main", source, "main") as backup:
            while not backup.done:
                backup.step(STEP_PAGES)
                advance(backup.page_count - backup.remaining, backup.page_count)


@contextmanager
def _snapshot(connection: apsw.Connection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        # The transaction begins with the first read.
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _check_room(source: apsw.Connection, path: Path) -> None:
    sizes: Any = source.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchall()
    ((size,),) = sizes
    free = free_bytes(path)
    if free < size:
        raise StoreFullError(
            f"the disk of {path.parent} has {free / MIB:.1f} MiB free but the copy takes {size / MIB:.1f} MiB; "
            "free up space or name a file on another disk"
        )


def _check_copy(source: Path, path: Path, advance: Advance) -> StoreReport:
    report = check_file(path, advance)
    if not report.healthy:
        raise _damaged(source, report.problems[0])
    return report


def _damaged(source: Path, problem: object) -> StoreDamagedError:
    return StoreDamagedError(
        f"{source} is damaged: {problem}; nothing was kept; "
        f"`runsink check --db {source}` names all problems and says what to do"
    )


@contextmanager
def _naming(target: Path) -> Iterator[None]:
    """Name the target in what goes wrong with it."""
    try:
        yield
    except FileExistsError as error:
        raise WrongFileError(
            f"{target} exists already and was left alone; name another file or move it away"
        ) from error
    except OSError as error:
        raise StoreUnusableError(f"cannot write {target}: {error.strerror or error}") from error
