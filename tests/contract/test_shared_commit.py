"""Uploads that share a commit, on every store."""

from collections.abc import Iterator
from threading import Event

import pytest

from adapters.group_commit import GroupCommitWriter
from core.errors import BatchRolledBackError, ResponseTooLargeError
from core.model.batch import BatchResult, Conflict, RefusedRun
from core.model.validation_error import ValidationError
from core.ports.store import Store
from core.use_cases.ingest import Mode, Upload, check_response_size, ingest_all
from tests.contract.samples import HANG_GUARD_SECONDS, all_keys, keep, sample_run

INVALID = RefusedRun(1, None, None, (ValidationError("status", "is bad"),))


@pytest.fixture
def writer(store: Store) -> Iterator[GroupCommitWriter]:
    """Yield a writer on the store, which has one run."""
    keep(store, sample_run("old"))
    made = GroupCommitWriter(store)
    yield made
    made.close()


def ingest_together(writer: GroupCommitWriter, uploads: list[Upload]) -> list[BatchResult | BaseException]:
    """Return the outcomes of uploads that wait for the same commit."""
    gate = Event()
    writer.submit(lambda _work: gate.wait(HANG_GUARD_SECONDS))
    futures = [writer.submit_item(ingest_all, upload) for upload in uploads]
    gate.set()
    return [future.exception(HANG_GUARD_SECONDS) or future.result() for future in futures]


def admit_little(size: int) -> None:
    """Admit no stored run at all."""
    check_response_size(size, 1)


def admit_much(_size: int) -> None:
    """Admit whatever is stored."""


def test_each_batch_has_its_own_result(store: Store, writer: GroupCommitWriter) -> None:
    """What an earlier one creates exists for a later one; an atomic one with an invalid run leaves nothing."""
    other = sample_run("new", agent_name="other")
    first, second, third = ingest_together(
        writer,
        [
            Upload(Mode.LENIENT, [sample_run("new"), INVALID, sample_run("old")], admit_much),
            Upload(Mode.ATOMIC, [sample_run("lost"), INVALID], admit_much),
            Upload(Mode.ATOMIC, [sample_run("last"), other], admit_much),
        ],
    )
    assert first == BatchResult((sample_run("new"), sample_run("old")), 3, 1, 1, 1, (INVALID,))
    assert isinstance(second, BatchRolledBackError)
    conflict = Conflict(1, "new", ("agent_name",))
    assert third == BatchResult((sample_run("last"), sample_run("new")), 2, 1, 1, 0, conflicts=(conflict,))
    assert all_keys(store) == {"old", "new", "last"}


@pytest.mark.parametrize("mode", [Mode.LENIENT, Mode.ATOMIC])
def test_a_batch_that_is_not_admitted_harms_no_other(store: Store, writer: GroupCommitWriter, mode: Mode) -> None:
    """Nothing of it is stored, not even for those that share its commit and sent the same run."""
    outcomes = ingest_together(
        writer,
        [
            Upload(mode, [sample_run("before")], admit_little),
            Upload(mode, [sample_run("lost"), sample_run("both"), sample_run("old")], admit_little),
            Upload(mode, [sample_run("both", agent_name="other"), sample_run("after")], admit_little),
        ],
    )
    assert [type(outcome) for outcome in outcomes] == [BatchResult, ResponseTooLargeError, BatchResult]
    both = sample_run("both", agent_name="other")
    assert outcomes[2] == BatchResult((both, sample_run("after")), 2, 2, 0, 0)
    assert all_keys(store) == {"old", "before", "both", "after"}
