"""The check of a store file: every kind of damage is found and named, and a sound store is never accused."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from threading import Event, Thread

import apsw
import pytest

from adapters.sqlite import SqliteStore
from adapters.sqlite.connection import open_writer
from adapters.sqlite.file import wal_of
from adapters.sqlite.keys import event_hash, run_hash
from adapters.sqlite.maintenance import WrongFileError, check_file, reading
from adapters.store_check import MAX_PROBLEMS
from core.errors import StoreBusyError, StoreUnusableError
from core.model.run import Timestamp
from tests.contract.samples import at, keep, sample_run

PAGE = 4096
RUNS = 300


def fill(path: Path) -> None:
    """Make a closed store with some runs of several names."""
    with closing(SqliteStore(path)) as store, store.unit_of_work() as work:
        runs = [
            sample_run(f"event-{number}", run_id=f"run-{number % 7}", start_time=at(number), input_summary="x" * 300)
            for number in range(RUNS)
        ]
        work.runs.add(runs)
        work.commit()


@contextmanager
def tampered(path: Path) -> Iterator[apsw.Connection]:
    """Open a connection that may do anything to the file, and leave no WAL."""
    with closing(apsw.Connection(str(path))) as connection:
        yield connection


def change(path: Path, *statements: str) -> None:
    """Change the file from outside."""
    with tampered(path) as connection:
        for statement in statements:
            connection.execute(statement)


def problems(path: Path) -> tuple[str, ...]:
    """What a check finds."""
    return check_file(path).problems


def files(folder: Path) -> dict[str, bytes]:
    """The content of every file."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_sound_store_is_reported(path: Path) -> None:
    """Counts, times and sizes are those of the store, and nothing is written or left behind."""
    fill(path)
    before = files(path.parent)
    report = check_file(path)
    assert report.problems == ()
    assert (report.schema_version, report.runs, report.event_ids, report.agent_names, report.job_types) == (
        1,
        RUNS,
        RUNS,
        1,
        1,
    )
    assert (report.jobs, report.unfinished_jobs) == (0, 0)
    assert (report.oldest_start_time, report.newest_start_time) == (at(0), at(RUNS - 1))
    assert (report.database_bytes, report.wal_bytes, report.free_pages) == (path.stat().st_size, 0, 0)
    assert files(path.parent) == before


def test_an_empty_store_is_sound(path: Path) -> None:
    """A store without runs has no oldest and no newest."""
    SqliteStore(path).close()
    report = check_file(path)
    assert (report.problems, report.runs, report.oldest_start_time) == ((), 0, None)
    assert (report.retention_horizon, report.runs_before_horizon) == (None, 0)


def test_runs_before_the_horizon_are_counted_and_no_damage(path: Path) -> None:
    """A prune that was interrupted leaves some."""
    fill(path)
    with closing(SqliteStore(path)) as store, store.unit_of_work() as work:
        work.runs.raise_retention_horizon(Timestamp(at(3)))
        work.commit()
    report = check_file(path)
    assert (report.problems, report.retention_horizon, report.runs_before_horizon) == ((), at(3), 3)


def test_runs_at_the_origin_of_starts_are_sound(path: Path) -> None:
    """A run whose start is 0 has an entry that looks like one of an event_id."""
    with closing(SqliteStore(path)) as store:
        keep(store, *(sample_run(key, start_time="2028-01-01T00:00:00.000000Z") for key in ("a", "b")))
    report = check_file(path)
    assert (report.problems, report.event_ids) == ((), 2)


def test_a_wal_that_a_crash_left_is_read_and_not_touched(path: Path, tmp_path: Path) -> None:
    """Runs that are only in the WAL count, and neither file changes."""
    store = SqliteStore(path)
    keep(store, sample_run("a"), sample_run("b"))
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for source in (path, wal_of(path)):
        shutil.copy(source, crashed)
    store.close()
    copy = crashed / path.name
    before = copy.read_bytes(), wal_of(copy).read_bytes()
    report = check_file(copy)
    assert (report.problems, report.runs, report.wal_bytes) == ((), 2, wal_of(copy).stat().st_size)
    assert (copy.read_bytes(), wal_of(copy).read_bytes()) == before


def test_a_store_under_load_is_never_accused(path: Path) -> None:
    """Checks while runs are added and changed, entries of keys move on and the WAL is worked off find nothing."""
    over, begun = Event(), Event()
    store = SqliteStore(path)

    def write() -> None:
        random = Random(1)  # noqa: S311 - no secrets
        number = 0
        while not over.is_set():
            runs = [
                sample_run(f"e{number}-{place}", run_id=f"r{random.randrange(50)}", start_time=at(random.randrange(99)))
                for place in range(200)
            ]
            with store.unit_of_work() as work:
                work.runs.add(runs)
                work.runs.replace(sample_run(runs[0].event_id, run_id=runs[0].run_id, output_summary="x" * 999))
                work.commit()
            store.maintain(quiet=True)
            number += 1
            if number == 10:
                begun.set()

    writing = Thread(target=write)
    writing.start()
    try:
        assert begun.wait(30)
        reports = [check_file(path) for _ in range(4)]
    finally:
        over.set()
        writing.join()
        store.close()
    assert [report.problems for report in reports] == [()] * 4
    seen = [report.runs or 0 for report in reports]
    assert seen == sorted(seen)
    assert seen[0] < seen[-1]
    assert check_file(path).runs == check_file(path).event_ids


def test_a_write_between_any_two_statements_accuses_nothing(path: Path) -> None:
    """Runs are added and entries moved before each statement of a check, which comes to its end all the same."""
    store = SqliteStore(path)
    count = 0

    def write(cursor: apsw.Cursor, _sql: str, _bindings: object) -> bool:
        nonlocal count
        # The connection of the store has a trace of its own, which would never end.
        if cursor.connection.readonly("main"):
            count += 1
            runs = [
                sample_run(f"e{count}-{place}", run_id=f"r{place % 5}", agent_name=f"a{count}") for place in range(64)
            ]
            with store.unit_of_work() as work:
                work.runs.add(runs)
                work.commit()
        return True

    def trace(connection: apsw.Connection) -> None:
        connection.exec_trace = write

    keep(store, sample_run("first"))
    apsw.connection_hooks.append(trace)
    try:
        assert problems(path) == ()
    finally:
        apsw.connection_hooks.remove(trace)
        store.close()
    assert count > 10


@pytest.mark.parametrize("is_torn", [False, True])
def test_what_was_read_while_a_server_came_is_read_again(path: Path, *, is_torn: bool) -> None:
    """A file that was at rest and is written meanwhile is read once more, and only that counts."""
    fill(path)
    seen = []

    def action(connection: apsw.Connection) -> int:
        ((found,),) = connection.execute("SELECT count(*) FROM runs").fetchall()
        if not seen:
            with closing(SqliteStore(path)) as store:
                keep(store, sample_run("late"))
        seen.append(found)
        if is_torn and len(seen) == 1:
            raise apsw.CorruptError("as if it had read half of a page")
        return int(str(found))

    assert reading.read_unchanged(path, action) == RUNS + 1
    assert seen == [RUNS, RUNS + 1]


def flip(path: Path, seed: int) -> None:
    """Turn every byte of a page in the middle of the file."""
    content = bytearray(path.read_bytes())
    page = Random(seed).randrange(1, len(content) // PAGE)  # noqa: S311 - no secrets
    content[page * PAGE : (page + 1) * PAGE] = bytes(byte ^ 0xFF for byte in content[page * PAGE : (page + 1) * PAGE])
    path.write_bytes(content)


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_page_is_found(path: Path, seed: int) -> None:
    """Whichever page it is."""
    fill(path)
    flip(path, seed)
    assert problems(path)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_truncated_file_is_found(path: Path, share: float) -> None:
    """However much of it is left."""
    fill(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share) // PAGE * PAGE])
    assert problems(path)


def test_a_damaged_header_is_found(path: Path) -> None:
    """A file that does not begin as a database is damaged, or none."""
    fill(path)
    path.write_bytes(b"\xff" * 16 + path.read_bytes()[16:])
    assert problems(path) == ("the file does not begin as an SQLite database does",)


def without_key(column: str, hash_: Callable[[str], int], event_id: str = "event-5") -> str:
    """Return SQL that removes the entry of an id of one run."""
    value = {"event_id": event_id, "run_id": "run-5"}[column]
    which = f"hash = {hash_(value)} AND arrival = (SELECT arrival FROM runs WHERE event_id = '{event_id}')"
    return f"DELETE FROM {{}} WHERE {which}"


TABLES = ("keys_recent", "keys_middle", "keys_settled")


@pytest.mark.parametrize(("column", "hash_"), [("event_id", event_hash), ("run_id", run_hash)])
def test_a_missing_key_is_named(path: Path, column: str, hash_: Callable[[str], int]) -> None:
    """The run is named, and which of its entries is missing."""
    fill(path)
    change(path, *(without_key(column, hash_).format(table) for table in TABLES))
    found = problems(path)
    assert found[0] == f"run 'event-5' (arrival 6) has no entries for its {column} in the tables of keys"
    assert found[1].startswith("the tables of keys have ")
    assert len(found) == 2


def test_a_key_without_a_run_is_named(path: Path) -> None:
    """The entry is named, with the table that has it."""
    fill(path)
    change(path, "INSERT INTO keys_settled VALUES (17, 0, 12345)")
    assert problems(path) == (
        f"the tables of keys have {RUNS + 1} entries of event IDs and {RUNS} of run IDs for {RUNS} runs",
        "the entry 17 of keys_settled, with start 0 and arrival 12345, belongs to no run",
    )


def test_a_key_of_another_run_is_named(path: Path) -> None:
    """An entry whose run is there but has another ID is as wrong."""
    fill(path)
    change(path, "INSERT INTO keys_settled VALUES (17, 5, 1)")
    assert "the entry 17 of keys_settled, with start 5 and arrival 1, belongs to no run" in problems(path)


def test_a_key_in_two_tables_is_named(path: Path) -> None:
    """An entry belongs to one table only."""
    fill(path)
    entry = f"SELECT {event_hash('event-5')}, 0, arrival FROM runs WHERE event_id = 'event-5'"
    change(path, *(f"INSERT OR IGNORE INTO {table} {entry}" for table in TABLES))
    assert "run 'event-5' (arrival 6) has 3 entries for its event_id in the tables of keys" in problems(path)


def test_a_run_that_is_there_twice_is_named(path: Path) -> None:
    """Exactly once is checked for itself, even where every run has its entries."""
    fill(path)
    with closing(SqliteStore(path)) as store:
        keep(store, sample_run("twin"))
    with tampered(path) as connection:
        connection.execute("UPDATE runs SET event_id = 'event-5' WHERE event_id = 'twin'")
        for table in TABLES:
            connection.execute(f"DELETE FROM {table} WHERE hash = ?", (event_hash("twin"),))
        connection.execute("INSERT INTO keys_recent VALUES (?, 0, ?)", (event_hash("event-5"), RUNS + 1))
    assert problems(path) == (f"run 'event-5' (arrival {RUNS + 1}) has the same event_id as the run with arrival 6",)


def test_a_run_without_keys_and_tally_is_found(path: Path) -> None:
    """A row that somebody added by hand lacks everything else."""
    fill(path)
    columns = "event_id, run_id, agent_name, job_type, start_time, created_at, updated_at, status"
    time = "'2026-01-31T12:00:00.000000Z'"
    change(path, f"INSERT INTO runs ({columns}) VALUES ('x', 'y', 'other', 'z', {time}, {time}, {time}, 'success')")
    found = problems(path)
    assert "agent_name 'other' has 1 runs but a tally of 0" in found
    assert "job_type 'z' has 1 runs but a tally of 0" in found
    assert f"a run has arrival {RUNS + 1} but the last one assigned is {RUNS}" in found
    assert sum(problem.startswith("run 'x'") for problem in found) == 2


def test_a_wrong_tally_is_named(path: Path) -> None:
    """With what it says and what there is."""
    fill(path)
    change(path, "UPDATE tallies SET runs = runs + 1 WHERE field = 'job_type'")
    assert problems(path) == (f"job_type 'translate_page' has {RUNS} runs but a tally of {RUNS + 1}",)


@pytest.mark.parametrize(
    ("change_to", "said"),
    [
        ("status = 'odd'", "status must be one of"),
        ("end_time = 'yesterday'", "end_time is not an ISO 8601"),
        ("metrics_json = '{'", "metrics_json is not the text of a JSON object"),
        ("start_time = '2026-01-31T12:00:00Z'", "start_time is not in the form"),
    ],
)
def test_a_value_that_was_never_stored_is_named(path: Path, change_to: str, said: str) -> None:
    """The run and its field are named."""
    fill(path)
    change(path, f"UPDATE runs SET {change_to} WHERE arrival = 6")
    assert any(problem.startswith(f"run 'event-5' (arrival 6): {said}") for problem in problems(path))


def test_text_that_is_not_unicode_is_named(path: Path) -> None:
    """The run is named by its arrival, whichever column it is in, and the others are compared all the same."""
    fill(path)
    change(path, "UPDATE runs SET output_summary = CAST(x'ff' AS TEXT) WHERE arrival = 6")
    change(path, "UPDATE runs SET event_id = CAST(x'ff' AS TEXT) WHERE arrival = 8")
    change(path, "UPDATE runs SET status = 'odd' WHERE arrival = 7")
    found = problems(path)
    assert found[0].startswith("the run with arrival 6 cannot be read: ")
    assert found[1].startswith("run 'event-6' (arrival 7): status must be one of")
    assert found[2].startswith("the run with arrival 8 cannot be read: ")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DROP INDEX runs_by_start_time", "the index runs_by_start_time is missing"),
        ("DROP TABLE tallies", "the table tallies is missing"),
        ("CREATE TRIGGER odd AFTER INSERT ON runs BEGIN DELETE FROM tallies; END", "there is a trigger odd"),
        ("PRAGMA user_version = 0", "it has schema version 0 instead of 1"),
        ("ALTER TABLE jobs ADD COLUMN more TEXT", "the table jobs is not defined as it should be"),
    ],
)
def test_another_schema_is_named(path: Path, statement: str, said: str) -> None:
    """What is missing or different is named."""
    fill(path)
    change(path, statement)
    assert problems(path) == (said,)


@pytest.mark.parametrize("horizon", ["2026", "2026-02-30T00:00:00.000000Z", "2026-02-01T00:00:00Z"])
def test_a_damaged_horizon_is_named(path: Path, horizon: str) -> None:
    """It decides which runs are rejected, so it has to be a time in the form in which times are stored."""
    fill(path)
    change(path, f"INSERT INTO retention (id, horizon) VALUES (1, '{horizon}')")
    (problem,) = problems(path)
    assert problem.startswith(f"the retention horizon '{horizon}' ")


def test_what_others_added_for_themselves_is_no_damage(path: Path) -> None:
    """A view, an index or statistics change nothing of what runsink reads and writes."""
    fill(path)
    change(path, "CREATE VIEW mine AS SELECT event_id FROM runs", "CREATE INDEX mine_too ON runs (product)", "ANALYZE")
    assert problems(path) == ()


def test_so_many_problems_are_reported(path: Path) -> None:
    """A store that is damaged everywhere does not fill the memory."""
    fill(path)
    change(path, "UPDATE runs SET status = 'odd'")
    assert len(problems(path)) == MAX_PROBLEMS


def test_a_newer_or_a_foreign_file_is_refused(path: Path) -> None:
    """Neither is damaged, and the message says what it is."""
    fill(path)
    change(path, "PRAGMA user_version = 99")
    with pytest.raises(StoreUnusableError, match=r"it has schema version 99 .* upgrade runsink"):
        check_file(path)
    change(path, "PRAGMA application_id = 1")
    with pytest.raises(StoreUnusableError, match="another application"):
        check_file(path)


def test_no_file_is_made(tmp_path: Path) -> None:
    """A missing file stays missing, and a directory is none."""
    for missing in (tmp_path / "missing.db", tmp_path / "no" / "such.db", tmp_path):
        with pytest.raises(WrongFileError, match="name the file of a database"):
            check_file(missing)
    assert list(tmp_path.iterdir()) == []


def test_a_locked_file_is_busy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that another process has locked exclusively is neither sound nor damaged."""
    fill(path)
    monkeypatch.setattr(reading, "BUSY_TIMEOUT_MS", 1)
    other = open_writer(path)
    other.pragma("locking_mode", "exclusive")
    other.execute("BEGIN EXCLUSIVE; DELETE FROM tallies WHERE field = ''")
    with pytest.raises(StoreBusyError, match="locked by another process; try again later"):
        check_file(path)
    other.execute("ROLLBACK")
    other.close()
