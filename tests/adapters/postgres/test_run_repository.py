"""Races that only servers on one database can run: what one reads, another changes before it acts on it."""

from contextlib import closing
from typing import Any

import pytest

from adapters.postgres import PostgresStore
from adapters.postgres.run_repository import PostgresRunRepository
from core.model.limits import Limits
from core.model.listing import PageRequest, RunFilter
from tests.contract.samples import all_keys, at, keep, sample_run

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
