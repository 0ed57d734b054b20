"""Check a store file: its schema, its pages, its runs, the index of their IDs, and their tallies.

Nothing is written, and a server may be at work meanwhile. What is compared with each other is read in one transaction.
The long comparison, of every run with its rules and its keys, reads a slice at a time; the others, of pages and of
sums, hold a transaction for a few seconds per million runs.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import apsw
import attrs

from adapters.sql_rows import COLUMNS, TALLIED
from adapters.sqlite.file import check_file as check_header
from adapters.sqlite.file import resolve, wal_of
from adapters.sqlite.maintenance.errors import explained, require_file
from adapters.sqlite.maintenance.keys import (
    add_hash_functions,
    count_entries,
    entries_without_run,
    problems_of_slice,
)
from adapters.sqlite.maintenance.reading import read_unchanged
from adapters.sqlite.schema import VERSION, differences, objects_of, start_of
from adapters.store_check import (
    MAX_PROBLEMS,
    Advance,
    StoreReport,
    ignore_progress,
    problems_of_horizon,
    problems_of_run,
)

SLICE_RUNS: Final = 1000
"""So many runs are compared with their keys in one transaction."""

_DAMAGE: Final = (apsw.CorruptError, apsw.NotADBError, apsw.SQLError, UnicodeDecodeError)
"""What reading a damaged file raises; a statement of our own fails where a table is not what it should be."""

_SUMMARY: Final = f"""
SELECT
    (SELECT count(*) FROM tallies WHERE field = 'agent_name'),
    (SELECT count(*) FROM tallies WHERE field = 'job_type'),
    (SELECT count(*) FROM jobs),
    (SELECT count(*) FROM jobs WHERE finished_at IS NULL),
    (SELECT start_time FROM runs ORDER BY start LIMIT 1),
    (SELECT start_time FROM runs ORDER BY start DESC LIMIT 1),
    (SELECT horizon FROM retention),
    (SELECT count(*) FROM runs WHERE start < (SELECT {start_of("horizon")} FROM retention))
"""

_TALLIES: Final = """
SELECT name, sum(kept), sum(counted) FROM (
    SELECT name, runs AS kept, 0 AS counted FROM tallies WHERE field = '{field}'
    UNION ALL SELECT {field}, 0, count(*) FROM runs GROUP BY {field}
) GROUP BY name HAVING sum(kept) <> sum(counted)
"""

_LAST_ARRIVALS: Final = "SELECT coalesce((SELECT max(arrival) FROM runs), 0), coalesce((SELECT last FROM arrivals), 0)"

_ENDS: Final = """
SELECT
    (SELECT coalesce(min(arrival), 0) - 1 FROM runs),
    (SELECT coalesce(max(arrival), 0) FROM runs),
    (SELECT coalesce(sum(runs), 0) FROM tallies WHERE field = 'agent_name')
"""
"""The arrival before the first, the last arrival, and how many runs there are."""

_SLICE_END: Final = (
    "SELECT max(arrival) FROM (SELECT arrival FROM runs WHERE arrival > ? AND arrival <= ? ORDER BY arrival LIMIT ?)"
)

_RUNS: Final = (
    f"SELECT arrival, start IS {start_of('start_time')}, {COLUMNS} FROM runs WHERE arrival > ? AND arrival <= ?"
)


def check_file(path: Path, advance: Advance = ignore_progress) -> StoreReport:
    """Check a store file and return what was found; damage is in the report.

    Raises:
        WrongFileError: there is no such file.
        StoreUnusableError: it is no store of this version of runsink; the message says why.
        StoreBusyError: another process keeps it locked.
    """
    path = resolve(path)
    require_file(path)
    with explained(path):
        try:
            check_header(path)
        except apsw.NotADBError:
            return StoreReport(problems=("the file does not begin as an SQLite database does",))
        try:
            return read_unchanged(path, lambda connection: _Check(connection, path, advance).run())
        except _DAMAGE as error:
            return StoreReport(problems=(f"the file cannot be read: {error}",))


class _Check:
    """One check over a connection that only reads. A part that cannot be carried out is itself a problem."""

    def __init__(self, connection: apsw.Connection, path: Path, advance: Advance) -> None:
        self._connection = connection
        self._path = path
        self._advance = advance
        self._report = StoreReport()

    def run(self) -> StoreReport:
        """Carry out the parts one after the other, until there are too many problems to report."""
        add_hash_functions(self._connection)
        self._carry_out(self._measure)
        self._note(self._schema())
        if self._report.problems:
            # Without its tables, every other part would only fail.
            return self._report
        for part in (self._pages, self._summary, self._runs, self._entries, *self._tallies(), self._arrivals):
            self._carry_out(part)
        return self._report

    def _carry_out(self, part: Callable[[], Iterable[str]]) -> None:
        if not self._report.is_full:
            self._note(_or_damage(part))

    def _note(self, problems: Iterable[str]) -> None:
        found = tuple(islice(problems, MAX_PROBLEMS))  # first, because finding them adds to the report
        self._report = self._report.with_problems(found)

    def _measure(self) -> Iterable[str]:
        wal = wal_of(self._path)
        self._report = attrs.evolve(
            self._report,
            schema_version=self._row("PRAGMA user_version")[0],
            database_bytes=self._path.stat().st_size,
            wal_bytes=wal.stat().st_size if wal.exists() else 0,
            free_pages=self._row("PRAGMA freelist_count")[0],
        )
        return ()

    def _schema(self) -> Iterator[str]:
        if self._report.schema_version not in (None, VERSION):
            yield f"it has schema version {self._report.schema_version} instead of {VERSION}"
            return
        yield from _or_damage(self._objects)

    def _objects(self) -> Iterator[str]:
        yield from differences(self._connection)
        # Anything else that somebody added is never asked, but a trigger acts by itself.
        found = objects_of(self._connection)
        yield from (f"there is a trigger {name}" for name, (kind, _) in found.items() if kind == "trigger")

    def _pages(self) -> Iterator[str]:
        """Have SQLite read every page and compare every index with its table."""
        for (line,) in self._connection.execute(f"PRAGMA integrity_check({MAX_PROBLEMS})"):
            if line != "ok":
                yield " ".join(str(line).split())

    def _summary(self) -> Iterator[str]:
        names, types, jobs, unfinished, oldest, newest, horizon, expired = self._row(_SUMMARY)
        self._report = attrs.evolve(
            self._report,
            agent_names=names,
            job_types=types,
            jobs=jobs,
            unfinished_jobs=unfinished,
            oldest_start_time=oldest,
            newest_start_time=newest,
            retention_horizon=horizon,
            runs_before_horizon=expired,
        )
        yield from problems_of_horizon(horizon)

    def _runs(self) -> Iterator[str]:
        """Compare every run with the rules of its fields and with its keys, a slice at a time."""
        # Not those that arrive from now on: a busy server may add runs faster than they can be compared.
        after, until, whole = self._row(_ENDS)
        done = 0
        for last in self._slice_ends(after, until, SLICE_RUNS):
            yield from self._slice(after, last)
            after, done = last, done + SLICE_RUNS
            self._advance(min(done, whole), whole)

    def _slice_ends(self, after: int, until: int, size: int) -> Iterator[int]:
        """Yield the last arrival of every slice of so many runs, beyond ``after`` up to ``until``."""
        while (last := self._row(_SLICE_END, (after, until, size))[0]) is not None:
            yield last
            after = last

    def _slice(self, after: int, last: int) -> Iterator[str]:
        """Compare the runs of a slice. Where one cannot be read, look at each, so that the others are compared."""
        try:
            yield from self._problems_of_slice(after, last)
        except _DAMAGE:
            for one in self._slice_ends(after, last, 1):
                try:
                    yield from self._problems_of_slice(one - 1, one)
                except _DAMAGE as error:
                    yield f"the run with arrival {one} cannot be read: {error}"

    def _problems_of_slice(self, after: int, last: int) -> list[str]:
        with self._transaction():
            return [*self._run_problems(after, last), *problems_of_slice(self._connection, after, last)]

    def _run_problems(self, after: int, last: int) -> Iterator[str]:
        for arrival, has_right_start, *row in self._connection.execute(_RUNS, (after, last)):
            problems = problems_of_run(row)
            if not has_right_start:
                problems.append("start is not the time in start_time")
            yield from (f"run {row[0]!r} (arrival {arrival}): {problem}" for problem in problems)

    def _entries(self) -> Iterator[str]:
        """Compare the numbers of runs and of entries. That every run has its own was checked, so more are too many."""
        runs, events, names = count_entries(self._connection)
        self._report = attrs.evolve(self._report, runs=runs, event_ids=events)
        if (events, names) != (runs, runs):
            yield f"the tables of keys have {events} entries of event IDs and {names} of run IDs for {runs} runs"
            yield from entries_without_run(self._connection)

    def _tallies(self) -> list[Callable[[], Iterable[str]]]:
        return [partial(self._tally, field) for field in TALLIED]

    def _tally(self, field: str) -> Iterator[str]:
        for name, kept, counted in self._connection.execute(_TALLIES.format(field=field)):
            yield f"{field} {name!r} has {counted} runs but a tally of {kept}"

    def _arrivals(self) -> Iterator[str]:
        greatest, last = self._row(_LAST_ARRIVALS)
        if greatest > last:
            yield f"a run has arrival {greatest} but the last one assigned is {last}"

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def _row(self, sql: str, bindings: tuple[int, ...] = ()) -> tuple[Any, ...]:
        (row,) = self._connection.execute(sql, bindings).fetchall()
        return row


def _or_damage(part: Callable[[], Iterable[str]]) -> Iterator[str]:
    """Yield what a part finds; damage that ends it is found as well."""
    try:
        yield from part()
    except _DAMAGE as error:
        yield f"the file cannot be read further: {error}"
