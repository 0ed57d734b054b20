"""What only PostgreSQL can get wrong: races of several servers, and how much is fetched at a time."""

from collections.abc import Callable
from contextlib import closing
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest

from adapters.postgres import PostgresStore, read_deadline, statements
from adapters.postgres.run_reader import PostgresRunReader
from adapters.postgres.run_repository import PostgresRunRepository
from core.errors import StoreTimeoutError
from core.model.limits import Limits
from core.model.listing import MAX_PART_BYTES, PageRequest, RunFilter
from core.model.run import JsonText
from core.model.statistics import StatisticsRequest
from core.model.tree import Room
from core.ports.run_repository import RunReader
from tests.contract.samples import all_keys, at, keep, read, sample_run

EVERYTHING = RunFilter(), PageRequest(oldest_first=True)


def test_only_the_runs_that_were_read_are_deleted(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was stored under the key of one that another prune had just deleted stays, and is counted."""
    read = PostgresRunRepository._fitting  # noqa: SLF001 - between reading and deleting, nothing public is called

    def read_and_be_overtaken(repository: PostgresRunRepository, *asked: Any) -> Any:
        monkeypatch.undo()
        fitting = read(repository, *asked)
        with store.unit_of_work() as work:
            assert work.runs.remove(*EVERYTHING).runs == 2
            work.commit()
        keep(store, sample_run("again", start_time=at(9)))
        return fitting

    with closing(PostgresStore(postgres_url, "shown", Limits())) as store:
        keep(store, sample_run("again", start_time=at(1)), sample_run("gone", start_time=at(2)))
        with closing(PostgresStore(postgres_url, "shown", Limits())) as other, other.unit_of_work() as work:
            monkeypatch.setattr(PostgresRunRepository, "_fitting", read_and_be_overtaken)
            assert work.runs.remove(*EVERYTHING).runs == 0
            work.commit()
        assert all_keys(store) == {"again"}
        with store.reader() as runs:
            assert runs.count(RunFilter()) == 1


READS: dict[str, Callable[[RunReader], Any]] = {
    "summaries": lambda runs: runs.summaries(RunFilter(), PageRequest(offset=1)).runs,
    "children": lambda runs: runs.children(["parent"], Room(100, MAX_PART_BYTES)).runs,
    "outlines": lambda runs: runs.outlines(["parent"], Room(100, MAX_PART_BYTES)).runs,
}


@pytest.mark.parametrize("name", READS)
def test_large_metrics_are_fetched_in_parts(postgres_url: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """At most a part and one run are in memory at a time, although metrics are not in the size of what is read."""
    metrics = [JsonText(f'{{"cost_usd":{number},"note":"{"x" * (MAX_PART_BYTES // 3)}"}}') for number in range(9)]
    fetched: list[int] = []

    def fetch(reader: PostgresRunReader, sql: str, bindings: Any) -> list[tuple[Any, ...]]:
        rows = execute(reader, sql, bindings)
        fetched.append(sum(len(value) for row in rows for value in row if isinstance(value, str)))
        return rows

    with closing(PostgresStore(postgres_url, "shown", Limits())) as store:
        children = enumerate(metrics)
        keep(store, *(sample_run(f"{at}", parent_run_id="parent", metrics_json=text) for at, text in children))
        execute = PostgresRunReader._rows  # noqa: SLF001 - what is fetched at a time can be seen nowhere else
        monkeypatch.setattr(PostgresRunReader, "_rows", fetch)
        found = read(store, READS[name])
    newest_first = [7, 6, 5, 4, 3, 2, 1, 0]
    assert [run.metrics["cost_usd"] for run in found] == (newest_first if name == "summaries" else [*range(9)])
    assert MAX_PART_BYTES < max(fetched) < 2 * MAX_PART_BYTES


def test_metrics_are_parsed_once(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statistics parse the metrics of a run once, however many of them are summed up."""
    # It says to be immutable, as the real one is; otherwise the planner would be careful not to call it twice.
    counted = (
        "CREATE FUNCTION counted(text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE "
        "AS 'BEGIN PERFORM nextval(''parses''); RETURN $1::jsonb; END'"
    )
    monkeypatch.setattr(statements, "_PARSED", "counted(metrics_json)")
    names = ("cost_usd", "total_tokens")
    request = StatisticsRequest(bucket_seconds=60, metrics=names, max_runs=10, max_buckets=5)
    with closing(PostgresStore(postgres_url, "shown", Limits())) as store:
        metrics = JsonText('{"cost_usd":1,"total_tokens":2}')
        keep(store, *(sample_run(f"{number}", metrics_json=metrics) for number in range(3)))
        with psycopg.connect(postgres_url) as admin:
            admin.execute("CREATE SEQUENCE parses")
            admin.execute(counted)
        # A sequence cannot be used by a reader.
        with store.unit_of_work() as work:
            (bucket,) = work.runs.statistics(RunFilter(), request).buckets
        with psycopg.connect(postgres_url) as admin:
            assert admin.execute("SELECT last_value FROM parses").fetchall() == [(3,)]
    assert bucket.metrics == {"cost_usd": 3, "total_tokens": 6}


def test_the_last_statement_of_a_read_has_what_is_left(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as long as the whole read again; as long as little time has passed, no statement is spent on it."""
    clock = SimpleNamespace(monotonic=lambda: 100.0)
    monkeypatch.setattr(read_deadline, "time", clock)
    allowed = []
    with closing(PostgresStore(postgres_url, "shown", Limits(max_read_seconds=10))) as store, store.reader() as runs:
        for now in (100.5, 106.0, 106.5, 109.5):
            clock.monotonic = partial(float, now)
            runs.version()
            with closing(cast(Any, runs)._connection.execute("SHOW statement_timeout")) as shown:  # noqa: SLF001
                allowed += shown.fetchall()
        clock.monotonic = partial(float, 110)
        with pytest.raises(StoreTimeoutError):
            runs.version()
    assert allowed == [("10s",), ("4001ms",), ("4001ms",), ("501ms",)]
