"""The SQLite schema: marks, tables, query plans and migrations."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Any

import apsw
import attrs
import pytest

from adapters.sqlite import SqliteStore, schema
from adapters.sqlite.connection import open_reader, open_writer
from adapters.sqlite.keys import TABLES
from adapters.sqlite.run_repository import SqliteRunRepository
from adapters.sqlite.schema import APPLICATION_ID, VERSION
from core.errors import StoreUnusableError
from core.model.listing import Cursor, PageRequest, RunFilter
from core.model.run import FIELDS, EventId, Status, Text, Timestamp
from core.model.statistics import FacetField, FacetsRequest, StatisticsRequest
from core.model.tree import Room
from tests.contract.samples import agent_names, all_keys, at, keep, sample_run

REQUESTS = [
    PageRequest(cursor=cursor, oldest_first=oldest_first)
    for cursor in (None, Cursor(Timestamp(at(1)), 1))
    for oldest_first in (False, True)
]
PARTS = {
    "event_id": EventId("a"),
    "status": Status.FAILURE,
    "job_type": Text("a"),
    "agent_name": Text("a"),
    "run_id": Text("a"),
    "parent_run_id": Text("a"),
    "product": Text("a"),
    "start_time_from": Timestamp(at(0)),
    "start_time_to": Timestamp(at(9)),
    "roots": True,
    "q": Text("a"),
}
SIZES = (0, 1, 2, len(PARTS))
FIRST_VERSION = "eee21041c0de12deb013d241e6abb3ed78b842ec7304c7d2c2c2391ff1632f1d"
"""The digest of the definitions of version 1."""

FILTERS = [{name: PARTS[name] for name in names} for size in SIZES for names in combinations(PARTS, size)]


@pytest.fixture
def writer(path: Path) -> Iterator[apsw.Connection]:
    """Yield the writing connection of a new file."""
    connection = open_writer(path)
    yield connection
    connection.close()


def make_file(path: Path, *keys: str) -> bytes:
    """Create a database with some runs, and return its bytes."""
    store = SqliteStore(path)
    keep(store, *map(sample_run, keys))
    store.close()
    return path.read_bytes()


def pragma(path: Path, name: str, value: object = None) -> object:
    """Read or set a pragma of a file, without using the store."""
    connection = apsw.Connection(str(path))
    try:
        return connection.pragma(name) if value is None else connection.pragma(name, value)
    finally:
        connection.close()


def tables(path: Path) -> dict[str, str]:
    """Return the tables and indexes of a file with their definitions, without using the store."""
    connection = apsw.Connection(str(path))
    try:
        found = connection.execute("SELECT name, coalesce(sql, '') FROM sqlite_schema").fetchall()
        return {str(name): str(sql) for name, sql in found}
    finally:
        connection.close()


def test_the_file_is_marked_as_the_products(writer: apsw.Connection) -> None:
    """The application ID is ``RUNS``, and the user version is the current version."""
    assert writer.pragma("application_id") == APPLICATION_ID == int.from_bytes(b"RUNS", "big")
    assert writer.pragma("user_version") == VERSION


def test_commits_are_flushed(writer: apsw.Connection) -> None:
    """The writing connection uses WAL mode and syncs at each commit."""
    assert writer.pragma("journal_mode") == "wal"
    assert writer.pragma("synchronous") == 2


def test_the_store_writes_through_such_a_connection(path: Path, connections: list[apsw.Connection]) -> None:
    """Of the connections that a store uses, the writing one syncs and the reading one cannot write."""
    store = SqliteStore(path)
    keep(store, sample_run("a"))
    assert all_keys(store) == {"a"}
    writing, reading = connections
    assert (writing.pragma("journal_mode"), writing.pragma("synchronous")) == ("wal", 2)
    with pytest.raises(apsw.ReadOnlyError):
        reading.execute("DELETE FROM runs")
    store.close()


def test_every_table_is_strict(writer: apsw.Connection) -> None:
    """No column accepts a value of another type."""
    rows = writer.execute("SELECT name, strict FROM pragma_table_list WHERE name NOT LIKE 'sqlite_%'").fetchall()
    found = {str(name): strict for name, strict in rows}
    assert found == dict.fromkeys(found, 1)
    assert "runs" in found


def test_the_columns_are_the_fields_in_order(writer: apsw.Connection) -> None:
    """Rows become runs by position, so columns must be in the order of the fields."""
    names = [name for (name,) in writer.execute("SELECT name FROM pragma_table_info('runs')")]
    assert names == ["arrival", *FIELDS]


def _noting(said: list[tuple[str, Any]]) -> Callable[[apsw.Cursor, str, Any], bool]:
    """Return a tracer that records every statement."""

    def note(_cursor: apsw.Cursor, sql: str, bindings: Any) -> bool:
        said.append((sql, bindings))
        return True

    return note


def plans(path: Path, query: Callable[[SqliteRunRepository], object]) -> list[str]:
    """Return the plan steps of every statement that a query executes."""
    connection = open_reader(path)
    said: list[tuple[str, Any]] = []
    connection.exec_trace = _noting(said)
    query(SqliteRunRepository(connection))
    connection.exec_trace = None
    steps = [str(row[3]) for sql, bindings in said for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)]
    connection.close()
    return steps


def assert_indexed(steps: list[str]) -> None:
    """Check that every step that reads a table does so through an index or a key."""
    touching = [step for step in steps if step.startswith(("SCAN", "SEARCH")) and step != "SCAN CONSTANT ROW"]
    assert touching
    for step in touching:
        assert "INDEX" in step or "PRIMARY KEY" in step, steps


def assert_unsorted(steps: list[str]) -> None:
    """Check that rows come out of an index in order."""
    assert not any("TEMP B-TREE" in step for step in steps), steps


@pytest.mark.parametrize("parts", FILTERS, ids=lambda parts: "+".join(parts) or "all")
@pytest.mark.parametrize("request_", REQUESTS, ids=["first", "first-oldest", "next", "next-oldest"])
def test_every_page_is_read_from_an_index(path: Path, parts: dict[str, object], request_: PageRequest) -> None:
    """No combination of filters, cursor and direction makes a page scan the table or sort."""
    make_file(path, "a")
    steps = plans(path, lambda runs: runs.page(RunFilter(**parts), request_))  # type: ignore[arg-type]
    assert_indexed(steps)
    assert_unsorted(steps)


@pytest.mark.parametrize("request_", REQUESTS, ids=["first", "first-oldest", "next", "next-oldest"])
@pytest.mark.parametrize("name", ["status", "parent_run_id", "run_id", "roots"])
def test_a_page_begins_at_its_place(path: Path, name: str, request_: PageRequest) -> None:
    """Start and arrival of the cursor are both part of the search, so nothing before it is scanned again."""
    make_file(path, "a")
    parts = {"start_time_from": PARTS["start_time_from"], "start_time_to": PARTS["start_time_to"], name: PARTS[name]}
    steps = plans(path, lambda runs: runs.page(RunFilter(**parts), request_))  # type: ignore[arg-type]
    beyond = ">" if request_.oldest_first else "<"
    searched = {
        "status": [f"runs_by_start_time (start=? AND arrival{beyond}?)"],
        "roots": [f"runs_without_parent (start=? AND arrival{beyond}?)"],
        "parent_run_id": [f"runs_by_parent_run_id (parent_run_id=? AND start=? AND rowid{beyond}?)"],
        "run_id": list(TABLES),
    }[name]
    for part in searched:
        step = next(step for step in steps if part in step)
        assert step.startswith("SEARCH"), steps
        assert name != "run_id" or f"(start,arrival){beyond}(?,?)" in step, steps


def test_figures_of_roots_are_read_from_their_index_alone(path: Path) -> None:
    """Counts, durations, costs and facets of launches read no row of the table, so they read few pages."""
    store = SqliteStore(path)
    keep(store, *(sample_run(f"{number}", item_name=Text("x" * 3000), duration_ms=number) for number in range(500)))
    store.close()
    which = RunFilter(roots=True, start_time_from=Timestamp(at(0)), status=frozenset(Status), agent_name=Text("a"))
    metrics = ("cost_usd", "total_tokens")
    buckets = StatisticsRequest(bucket_seconds=60, metrics=metrics, max_runs=400, max_buckets=10)
    values = FacetsRequest(fields=tuple(FacetField), max_runs=1000, max_values=10)
    reads = (
        lambda runs: runs.statistics(which, buckets),
        lambda runs: runs.statistics(attrs.evolve(which, agent_name=None), buckets),
        lambda runs: runs.facets(attrs.evolve(which, agent_name=None), values),
        lambda runs: runs.count(which),
    )
    for read in reads:
        connection = open_reader(path)
        read(SqliteRunRepository(connection))
        # A row, and its overflow, is on a page of its own.
        assert connection.status(apsw.SQLITE_DBSTATUS_CACHE_MISS)[0] < 100
        connection.close()


def test_children_are_searched_by_the_name_of_their_parent(path: Path) -> None:
    """Every level of a tree is one search per parent, in the order of the index."""
    make_file(path, "a")
    steps = plans(path, lambda runs: runs.children(["a", "b"], Room(9, 9)))
    assert "SEARCH runs USING INDEX runs_by_parent_run_id (parent_run_id=?)" in steps
    assert_unsorted(steps)


@pytest.mark.parametrize("name", ["event_id", "run_id", "parent_run_id"])
def test_a_filter_by_name_searches(path: Path, name: str) -> None:
    """A rare key or name among millions is found by an equality search, not by a range scan."""
    make_file(path, "a")
    steps = plans(path, lambda runs: runs.page(RunFilter(**{name: PARTS[name]}), PageRequest()))  # type: ignore[arg-type]
    assert_indexed(steps)
    assert any(step.startswith("SEARCH") and "=?" in step for step in steps), steps


@pytest.mark.parametrize(
    "query",
    [
        lambda runs: runs.get(EventId("a")),
        lambda runs: runs.newest("a"),
        agent_names,
        lambda runs: runs.count(RunFilter()),
        lambda runs: runs.count(RunFilter(agent_name=Text("a"))),
        lambda runs: runs.count(RunFilter(run_id=Text("a"))),
        lambda runs: runs.count(RunFilter(event_id=EventId("a"))),
        lambda runs: runs.count(RunFilter(parent_run_id=Text("a"))),
    ],
    ids=["get", "newest", "metadata", "count", "count-agent", "count-name", "count-key", "count-parent"],
)
def test_every_lookup_searches_in_an_index(path: Path, query: Callable[[SqliteRunRepository], object]) -> None:
    """Keys, names, the metadata and the size of the list are looked up, not counted."""
    make_file(path, "a")
    steps = plans(path, query)
    assert_indexed(steps)
    assert not any(step.startswith("SCAN runs") for step in steps), steps


def test_existing_runs_are_searched_by_key(path: Path) -> None:
    """A batch sent again looks up its own keys; it never scans the table."""
    make_file(path, "a")
    writer = open_writer(path)
    said: list[tuple[str, Any]] = []
    writer.exec_trace = _noting(said)
    SqliteRunRepository(writer).add([sample_run("a"), sample_run("b")])
    writer.exec_trace = None
    selects = [(sql, bindings) for sql, bindings in said if sql.lstrip().startswith("SELECT")]
    steps = [str(row[3]) for sql, bindings in selects for row in writer.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)]
    writer.close()
    assert any(step.startswith("SEARCH") for step in steps)
    assert not any(step.startswith("SCAN runs") for step in steps), steps


def test_a_batch_costs_a_constant_number_of_statements(writer: apsw.Connection) -> None:
    """Adding many runs, new or existing, takes as many distinct statements as adding few."""
    said: list[set[str]] = []
    for size in (64, 64, 512, 512):
        now: list[tuple[str, Any]] = []
        writer.exec_trace = _noting(now)
        SqliteRunRepository(writer).add([sample_run(f"{size}-{number}") for number in range(size)])
        said.append({sql for sql, _ in now})
    writer.exec_trace = None
    assert said[0] == said[2]
    assert said[1] == said[3]


def _break(connection: apsw.Connection) -> None:
    connection.execute("CREATE TABLE half_done (a)")
    connection.execute("INSERT INTO no_such_table VALUES (1)")


def _extend(connection: apsw.Connection) -> None:
    connection.execute("CREATE TABLE more (a)")


def use_steps(monkeypatch: pytest.MonkeyPatch, *more: Callable[[apsw.Connection], None]) -> None:
    """Add later schema versions."""
    steps = (*schema._STEPS, *more)  # noqa: SLF001 - a later version is a longer list of steps
    monkeypatch.setattr(schema, "_STEPS", steps)
    monkeypatch.setattr(schema, "VERSION", len(steps))


def test_a_failing_step_leaves_an_older_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version, the tables and the runs are unchanged, and the older version still works on the file."""
    make_file(path, "a")
    before = tables(path)
    with monkeypatch.context() as patch:
        use_steps(patch, _extend, _break)
        with pytest.raises(StoreUnusableError, match="no such table"):
            SqliteStore(path)
    assert pragma(path, "user_version") == VERSION
    assert tables(path) == before
    store = SqliteStore(path)
    assert all_keys(store) == {"a"}
    store.close()


def test_a_failing_first_migration_leaves_no_table(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new file gets all steps or none, and the next attempt can succeed."""
    with monkeypatch.context() as patch:
        use_steps(patch, _break)
        with pytest.raises(StoreUnusableError):
            SqliteStore(path)
    assert tables(path) == {}
    make_file(path, "a")


def test_a_later_version_takes_an_older_file_along(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the missing steps are executed, and the runs are still there."""
    make_file(path, "a")
    before = tables(path)
    use_steps(monkeypatch, _extend)
    store = SqliteStore(path)
    assert all_keys(store) == {"a"}
    store.close()
    assert pragma(path, "user_version") == VERSION + 1
    assert tables(path) == before | {"more": "CREATE TABLE more (a)"}


def test_a_newer_file_is_refused_and_left_alone(path: Path) -> None:
    """The message names the file and the remedy in one line."""
    make_file(path, "a")
    pragma(path, "user_version", VERSION + 1)
    before = path.read_bytes()
    with pytest.raises(StoreUnusableError, match="upgrade runsink") as caught:
        SqliteStore(path)
    assert str(caught.value).startswith(f"cannot use {path}: ")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("sql", ["CREATE TABLE theirs (a)", "PRAGMA application_id = 7", "PRAGMA user_version = 7"])
def test_a_file_of_another_application_is_refused_and_left_alone(path: Path, sql: str) -> None:
    """No table, mark or journal mode is written to it."""
    connection = apsw.Connection(str(path))
    connection.execute(sql)
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreUnusableError, match="another application"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_an_empty_file_is_taken(path: Path) -> None:
    """An empty file is treated as new."""
    path.touch()
    assert make_file(path, "a")


def test_opening_again_changes_nothing(path: Path) -> None:
    """Opening and closing a file of the current version does not change it."""
    before = make_file(path, "a")
    SqliteStore(path).close()
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("DROP TABLE retention", "the table retention is missing"),
        ("DROP INDEX runs_by_start_time", "the index runs_by_start_time is missing"),
        ("ALTER TABLE jobs DROP COLUMN detail", "the table jobs is not defined as it should be"),
    ],
)
def test_a_file_of_another_layout_is_refused_and_left_alone(path: Path, sql: str, said: str) -> None:
    """The mark of the current version is not enough: what an upload needs must be there when the file is opened."""
    make_file(path, "a")
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "delete")
    connection.execute(sql)
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreUnusableError, match=f"schema version {VERSION} but {said}; .* from a backup"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_other_tables_in_the_file_do_no_harm(path: Path) -> None:
    """What somebody added is neither used nor refused."""
    make_file(path, "a")
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE mine (a); CREATE INDEX mine_by_a ON mine (a)")
    connection.close()
    store = SqliteStore(path)
    assert all_keys(store) == {"a"}
    store.close()


def test_the_first_version_is_frozen(path: Path) -> None:
    """Stores of version 1 exist: whatever changes in its tables and indexes has to be a step to the next version."""
    make_file(path)
    definitions = "\n".join(sql for _, sql in sorted(tables(path).items()))
    assert sha256(definitions.encode()).hexdigest() == FIRST_VERSION
