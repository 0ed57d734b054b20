"""The use cases that change a stored run."""

from collections.abc import Iterator

import attrs
import pytest

from adapters.memory import MemoryStore
from core.errors import RunNotFoundError
from core.model.run import Commit, CommitHash, CommitSource, RunChanges, Status, Text, Timestamp
from core.ports.unit_of_work import UnitOfWork
from core.use_cases.update import associate_commit, update_run
from tests.contract.samples import at, everything, sample_run

LATER = Timestamp(at(60))
COMMIT = Commit(CommitHash("abcdef1"), CommitSource.CI)


@pytest.fixture
def work() -> Iterator[UnitOfWork]:
    """Yield an entered unit of work of a store with one run."""
    with MemoryStore().unit_of_work() as entered:
        entered.runs.add([sample_run("a", commit_author="old")])
        yield entered


def test_update_changes_what_it_names(work: UnitOfWork) -> None:
    """Only the named fields and ``updated_at`` change."""
    changes: RunChanges = {"status": Status.SUCCESS, "output_summary": Text("done")}
    changed = update_run("a", changes, LATER, work)
    before = sample_run("a", commit_author="old")
    assert changed == attrs.evolve(before, **changes, updated_at=LATER)
    assert everything(work.runs) == (changed,)


def test_an_empty_update_changes_nothing(work: UnitOfWork) -> None:
    """Without changes the run is returned untouched, including ``updated_at``."""
    assert update_run("a", {}, LATER, work) == sample_run("a", commit_author="old")


def test_none_clears_a_field(work: UnitOfWork) -> None:
    """A field updated to ``None`` is cleared."""
    update_run("a", {"error_summary": Text("no")}, LATER, work)
    assert update_run("a", {"error_summary": None}, LATER, work).error_summary is None


def test_a_commit_takes_the_place_of_the_earlier_one(work: UnitOfWork) -> None:
    """All four fields are replaced; those that the new commit leaves out are cleared."""
    run = associate_commit("a", COMMIT, LATER, work)
    assert (run.commit_hash, run.commit_source, run.commit_author, run.updated_at) == ("abcdef1", "ci", None, LATER)


def test_unknown_keys_are_not_found(work: UnitOfWork) -> None:
    """Updates, even empty ones, and commits raise ``RunNotFoundError`` for a missing run."""
    changes: tuple[RunChanges, ...] = ({}, {"status": Status.SUCCESS})
    for change in changes:
        with pytest.raises(RunNotFoundError, match=r"^Run not found: b$"):
            update_run("b", change, LATER, work)
    with pytest.raises(RunNotFoundError, match=r"^Run not found: b$"):
        associate_commit("b", COMMIT, LATER, work)


@pytest.mark.parametrize("changes", [{}, {"error_summary": Text("no")}])
def test_a_run_without_room_is_not_changed(work: UnitOfWork, changes: RunChanges) -> None:
    """Whether the run may be returned is asked before anything is kept."""

    def refuse(_size: int) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        update_run("a", changes, LATER, work, admit=refuse)
    with pytest.raises(MemoryError):
        associate_commit("a", COMMIT, LATER, work, admit=refuse)
    assert everything(work.runs) == (sample_run("a", commit_author="old"),)
