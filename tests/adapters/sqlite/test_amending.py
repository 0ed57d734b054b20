"""Amended runs leave nothing behind in the file: keys and tallies are those of what they became."""

from contextlib import closing
from pathlib import Path

import apsw
import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sqlite import SqliteStore
from adapters.sqlite.maintenance.check import check_file
from adapters.sqlite.run_repository import SqliteRunRepository
from adapters.sqlite.schema import migrate
from core.model.run import Name, Run, Status, Text, Timestamp
from tests.adapters.sqlite.test_deletion import assert_found
from tests.adapters.sqlite.test_keys import hurry, runs_of
from tests.contract.samples import add, at, everything, keep, read, sample_run
from tests.faults.audit import disagreements

AT_ZERO = Timestamp("2028-01-01T00:00:00.000000Z")
"""The start that is 0 in keys."""


def amend(runs: SqliteRunRepository, *changed: Run) -> None:
    """Put runs in place of those with their keys."""
    by_key = {run.event_id: run for run in changed}
    runs.amend(list(by_key), lambda stored: by_key[stored.event_id])


def moved(run: Run, name: str, start: str) -> Run:
    """Return a run with other IDs, names and start."""
    return attrs.evolve(run, run_id=Name(name), agent_name=Name(name), start_time=Timestamp(start))


@settings(max_examples=60)
@given(
    steps=st.lists(
        st.integers(1, 40) | st.tuples(st.lists(st.integers(0, 199), max_size=20), st.sampled_from(["run-1", "x"])),
        max_size=12,
    ),
    turns=st.tuples(st.integers(4, 40), st.integers(4, 200)),
)
def test_keys_and_tallies_are_right_wherever_the_merge_stands(
    steps: list[int | tuple[list[int], str]], turns: tuple[int, int]
) -> None:
    """Whatever is added and amended in turn, both have exactly the entries of what the runs became."""
    with closing(apsw.Connection(":memory:")) as connection, pytest.MonkeyPatch.context() as patch:
        hurry(patch, *turns)
        migrate(connection)
        runs = SqliteRunRepository(connection)
        kept: list[Run] = []
        for step in steps:
            if isinstance(step, int):
                kept += runs_of(range(len(kept), len(kept) + step))
                assert add(runs, kept[-step:]) == {}
            else:
                places = {place for place in step[0] if place < len(kept)}
                changed = [moved(kept[place], step[1], at(500 + place)) for place in places]
                amend(runs, *changed)
                kept = [{run.event_id: run for run in changed}.get(run.event_id, run) for run in kept]
            assert disagreements(connection) == []
            assert_found(runs, kept)


@pytest.mark.parametrize("ended", [sample_run("a", status=Status.SUCCESS), sample_run("a", parent_run_id="p")])
def test_a_run_with_the_same_name_and_start_keeps_its_entries(path: Path, ended: Run) -> None:
    """Nothing is written to the tables of keys, wherever the entries are."""
    with closing(SqliteStore(path)) as store:
        keep(store, sample_run("a"))
        with closing(apsw.Connection(str(path))) as connection:
            connection.execute("INSERT INTO keys_settled SELECT * FROM keys_recent; DELETE FROM keys_recent")
        with store.unit_of_work() as work:
            amend(work.runs, ended)
            work.commit()
        assert read(store, everything) == (ended,)
    with closing(apsw.Connection(str(path))) as connection:
        assert connection.execute("SELECT count(*) FROM keys_recent").fetchall() == [(0,)]


@pytest.mark.parametrize(("before", "after"), [(at(0), AT_ZERO), (AT_ZERO, at(0)), (AT_ZERO, AT_ZERO)])
def test_an_entry_of_both_ids_is_one(
    path: Path, monkeypatch: pytest.MonkeyPatch, before: Timestamp, after: Timestamp
) -> None:
    """If a name has the hash of a key, becoming a run that starts at 0 leaves one entry for both, and back again."""
    monkeypatch.setattr("adapters.sqlite.run_repository.run_hash", lambda _: 7)
    monkeypatch.setattr("adapters.sqlite.run_repository.event_hash", lambda _: 7)
    with closing(SqliteStore(path)) as store:
        keep(store, sample_run("a", start_time=before))
        with store.unit_of_work() as work:
            amend(work.runs, sample_run("a", run_id=Text("other"), start_time=after))
            work.commit()
        assert read(store, lambda runs: [run.run_id for run in everything(runs)]) == ["other"]
    with closing(apsw.Connection(str(path))) as connection:
        entries = connection.execute("SELECT hash, start, arrival FROM keys_recent ORDER BY start").fetchall()
    assert len(entries) == (1 if after == AT_ZERO else 2)


def test_a_store_is_healthy_after_its_runs_were_amended(path: Path) -> None:
    """``check`` finds every run's keys and names as they became."""
    runs = runs_of(range(50))
    with closing(SqliteStore(path)) as store:
        keep(store, *runs)
        with store.unit_of_work() as work:
            amend(work.runs, *(moved(run, "x", at(300 + number)) for number, run in enumerate(runs[::2])))
            work.commit()
    report = check_file(path)
    assert (report.problems, report.runs, report.agent_names) == ((), 50, 2)
