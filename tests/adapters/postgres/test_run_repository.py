"""What only PostgreSQL can get wrong: races of several servers, and how much is fetched at a time."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from adapters.postgres import PostgresStore
from adapters.postgres.run_reader import PostgresRunReader
from adapters.postgres.run_repository import PostgresRunRepository
from core.model.limits import Limits
from core.model.listing import MAX_PART_BYTES, PageRequest, RunFilter
from core.model.run import JsonText
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
