"""Stores in a process that was forked while others were open: nothing that is acknowledged there is lost."""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Thread

import apsw
import pytest

from adapters.sqlite import SqliteStore
from core.model.run import EventId
from tests.contract.samples import all_keys, everything, keep, outcome_in_fork, read, sample_run


def open_another(path: Path) -> Callable[[], None]:
    """Open a store, keep a run in it and close it."""

    def work() -> None:
        with closing(SqliteStore(path)) as own:
            keep(own, sample_run("child"))

    return work


@pytest.mark.parametrize("closed", [True, False])
def test_the_file_outlives_the_store_of_the_parent(path: Path, closed: bool) -> None:  # noqa: FBT001 - a parameter
    """What the new process keeps after the parent has closed its store is there for others, while it runs and later."""
    opened, opening = os.pipe()
    gone, going = os.pipe()
    store = SqliteStore(path)
    keep(store, sample_run("parent"))
    read(store, everything)

    def close() -> None:
        os.read(opened, 1)
        store.close()
        os.write(going, b".")

    def work() -> None:
        own = SqliteStore(path)
        keep(own, sample_run("before"))
        os.write(opening, b".")
        os.read(gone, 1)
        keep(own, sample_run("after"))
        if closed:
            own.close()

    parent = Thread(target=close)
    parent.start()
    assert outcome_in_fork(work) == ""
    parent.join()
    with closing(SqliteStore(path)) as later:
        assert all_keys(later) == {"parent", "before", "after"}
        assert read(later, lambda runs: runs.get(EventId("after"))) == sample_run("after")


def test_the_parent_keeps_its_locks(path: Path, connections: list[apsw.Connection]) -> None:
    """The store of the parent is not affected by what the new process lets go of, nor is any other process."""
    with closing(SqliteStore(path)) as store:
        keep(store, sample_run("parent"))
        for _ in range(3):
            read(store, everything)
            assert outcome_in_fork(open_another(path)) == ""
            assert path.with_name("runs.db-wal").exists()
        keep(store, sample_run("later"))
        assert all_keys(store) == {"parent", "child", "later"}
        assert connections[0].pragma("integrity_check") == "ok"


def test_a_store_that_was_closed_is_no_hindrance(path: Path) -> None:
    """Whether or not somebody still refers to it, and whichever file it was on."""
    before, other = SqliteStore(path), SqliteStore(path.with_name("other.db"))
    before.close()
    assert outcome_in_fork(open_another(path)) == ""
    other.close()
    with closing(SqliteStore(path)) as store:
        assert all_keys(store) == {"child"}


def test_a_store_in_use_forbids_others(path: Path) -> None:
    """In the midst of writing or reading, nobody knows what state was inherited; that is said at once."""
    other = path.with_name("other.db")
    with closing(SqliteStore(path)) as store:
        with store.unit_of_work():
            assert outcome_in_fork(open_another(path)) == "StoreUnusableError"
            assert outcome_in_fork(open_another(other)) == "StoreUnusableError"
        with store.reader():
            assert outcome_in_fork(open_another(path)) == "StoreUnusableError"
        assert outcome_in_fork(open_another(path)) == ""
        assert all_keys(store) == {"child"}
