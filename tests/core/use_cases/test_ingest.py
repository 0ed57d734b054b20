"""The ingest use cases, on the memory store."""

from collections.abc import Iterator
from functools import partial

import attrs
import pytest

from adapters.memory import MemoryStore
from core.errors import (
    BatchRolledBackError,
    BatchTooLargeError,
    EveryRunRefusedError,
    NotABatchError,
    ResponseTooLargeError,
    RunRefusedError,
)
from core.model.batch import BatchResult, Candidate, Conflict, RefusedRun
from core.model.limits import Limits
from core.model.run import Count, Run, Status, count_text_bytes
from core.model.validation_error import ValidationError
from core.ports.unit_of_work import UnitOfWork
from core.use_cases.ingest import (
    SingleRun,
    check_batch_size,
    check_response_size,
    create_runs,
    ingest_atomic,
    ingest_lenient,
    require_valid,
)
from tests.contract.samples import at, everything, sample_run
from tests.fakes.run_repository import CountedWork


def refused(index: int, *reasons: str) -> RefusedRun:
    """Return an invalid run."""
    return RefusedRun(
        index, f"bad-{index}", None, tuple(ValidationError("start_time", reason) for reason in reasons or ("is no",))
    )


def keep_all(work: UnitOfWork, runs: list[Run]) -> None:
    """Store runs, within the unit of work."""
    work.runs.add(runs)


ADMIT = partial(check_response_size, limit=Limits().max_response_bytes)


@pytest.fixture
def work() -> Iterator[UnitOfWork]:
    """Yield an entered unit of work of an empty store."""
    with MemoryStore().unit_of_work() as entered:
        yield entered


@pytest.mark.parametrize("size", [1, 2, 100, 1000])
@pytest.mark.parametrize("use_case", [ingest_lenient, ingest_atomic])
def test_a_batch_costs_two_calls_whatever_its_size(size: int, use_case: object) -> None:
    """The repository is called twice for new runs, for the horizon and to add them, and twice for the same again."""
    work = CountedWork()
    batch = [sample_run(f"event-{number}") for number in range(size)]
    for _ in range(2):
        use_case(batch, work, ADMIT)  # type: ignore[operator]
    assert work.runs.calls == ["retention_horizon", "add"] * 2


@pytest.mark.parametrize("use_case", [ingest_lenient, ingest_atomic])
def test_a_refused_batch_does_not_touch_the_repository(use_case: object) -> None:
    """If no run can be stored, the store is not called."""
    work = CountedWork()
    with pytest.raises((BatchRolledBackError, EveryRunRefusedError)):
        use_case([refused(0)], work, ADMIT)  # type: ignore[operator]
    assert work.runs.calls == []


def test_a_good_batch_is_stored_in_its_order(work: UnitOfWork) -> None:
    """Both modes store all of a valid batch and return it in the order sent."""
    first, second = [sample_run("b"), sample_run("a")], [sample_run("d"), sample_run("c")]
    assert ingest_lenient(first, work, ADMIT) == BatchResult(tuple(first), 2, 2, 0, 0)
    assert ingest_atomic(second, work, ADMIT) == BatchResult(tuple(second), 2, 2, 0, 0)
    assert [run.event_id for run in everything(work.runs)] == ["c", "d", "a", "b"]


def test_lenient_stores_the_good_and_names_the_bad(work: UnitOfWork) -> None:
    """Failed runs are left out of ``runs``, and keep their indices in ``refused``."""
    bad = (refused(1), refused(3, "one", "two"))
    batch: list[Candidate] = [sample_run("a"), bad[0], sample_run("b"), bad[1]]
    result = ingest_lenient(batch, work, ADMIT)
    assert result == BatchResult((sample_run("a"), sample_run("b")), 4, 2, 0, 2, bad)
    assert len(everything(work.runs)) == 2


def test_lenient_with_every_run_bad_is_an_error_with_the_counts(work: UnitOfWork) -> None:
    """The error carries a result that lists every run."""
    bad = (refused(0), refused(1))
    with pytest.raises(EveryRunRefusedError) as caught:
        ingest_lenient(bad, work, ADMIT)
    assert caught.value.result == BatchResult((), 2, 0, 0, 2, bad)


def test_atomic_with_a_bad_run_stores_nothing_and_names_every_bad_one(work: UnitOfWork) -> None:
    """One invalid run fails the whole batch: all runs count as failed, and every invalid one is named."""
    bad = (refused(1), refused(2))
    with pytest.raises(BatchRolledBackError) as caught:
        ingest_atomic([sample_run("a"), *bad], work, ADMIT)
    assert caught.value.result == BatchResult((), 3, 0, 0, 3, bad)
    assert everything(work.runs) == ()


def test_a_key_twice_in_one_batch_is_one_run(work: UnitOfWork) -> None:
    """The first run of a key is created; the others count as existing and return the first."""
    first, again = sample_run("a"), sample_run("a", status=Status.FAILURE)
    assert ingest_atomic([first, again, first], work, ADMIT) == BatchResult((first, first, first), 3, 1, 2, 0)
    assert everything(work.runs) == (first,)


def test_a_stored_run_comes_back_unchanged(work: UnitOfWork) -> None:
    """A run sent under a known key does not change the stored one, and mutable fields cause no conflict."""
    stored = sample_run("a", duration_ms=Count(1))
    ingest_atomic([stored], work, ADMIT)
    resent = sample_run("a", duration_ms=Count(2), created_at=at(9), updated_at=at(9), commit_author="me")
    assert ingest_atomic([resent], work, ADMIT) == BatchResult((stored,), 1, 0, 1, 0)


def test_differing_fixed_fields_are_a_conflict(work: UnitOfWork) -> None:
    """A different run sent under an existing key is a conflict that lists the fields, not an error."""
    ingest_atomic([sample_run("a")], work, ADMIT)
    other = sample_run("a", agent_name="x", product="y", status=Status.FAILURE)
    result = ingest_lenient([refused(0), other], work, ADMIT)
    assert result.conflicts == (Conflict(1, "a", ("agent_name", "product")),)
    assert (result.created, result.existing, result.failed) == (0, 1, 1)


def test_conflicts_arise_within_a_batch_too(work: UnitOfWork) -> None:
    """A run whose key occurred earlier in the batch is compared with the earlier one."""
    result = ingest_atomic([sample_run("a"), sample_run("a", run_id="other"), sample_run("a")], work, ADMIT)
    assert result.conflicts == (Conflict(1, "a", ("run_id",)),)


def test_both_batch_errors_say_what_happened() -> None:
    """The messages contain the counts and the first error, for logs."""
    bad = (refused(2, "has no UTC offset"), refused(4))
    result = BatchResult((), 7, 0, 0, 7, bad)
    assert str(BatchRolledBackError(result)) == (
        "Batch transaction failed (rolled back): 2 of 7 runs rejected; the first is run 2: start_time has no UTC offset"
    )
    assert str(EveryRunRefusedError(result)) == "None of the 7 runs is valid; nothing was stored"


def test_create_stores_one_run(work: UnitOfWork) -> None:
    """A new run is stored and returned; sent again, the stored one is returned."""
    sizes: list[int] = []
    first, again = sample_run("a"), sample_run("a", agent_name="x")
    assert create_runs([SingleRun(first, sizes.append)], work) == [first]
    assert sizes == []
    assert create_runs([SingleRun(again, sizes.append)], work) == [first]
    assert sizes == [count_text_bytes(first)]


def test_single_runs_are_stored_together(work: UnitOfWork) -> None:
    """Each in its place: new ones, an existing one, and one that is sent twice; the first of equal keys wins."""
    keep_all(work, [sample_run("old")])
    sent = [sample_run("a"), sample_run("old", agent_name="x"), sample_run("b"), sample_run("a", agent_name="y")]
    singles = [SingleRun(run, lambda _: None) for run in sent]
    assert create_runs(singles, work) == [sent[0], sample_run("old"), sent[2], sent[0]]
    assert work.runs.get(sent[0].event_id) == sent[0]


def test_a_single_run_that_is_not_admitted_fails_alone(work: UnitOfWork) -> None:
    """The error of ``admit`` is its outcome, and the others are stored."""
    keep_all(work, [sample_run("old")])

    def reject(_size: int) -> None:
        raise ResponseTooLargeError(1)

    outcomes = create_runs([SingleRun(sample_run(key), reject) for key in ("old", "new")], work)
    assert [type(outcome) for outcome in outcomes] == [ResponseTooLargeError, Run]


def test_create_refuses_a_bad_run(work: UnitOfWork) -> None:
    """The error carries the refused run, and its message lists every validation error."""
    with pytest.raises(RunRefusedError, match="start_time one; start_time two") as caught:
        require_valid(refused(0, "one", "two"))
    assert caught.value.refused == refused(0, "one", "two")
    assert everything(work.runs) == ()


def test_without_a_wish_for_runs_none_is_returned(work: UnitOfWork) -> None:
    """Counts and conflicts are the same, but the result holds no runs."""
    stored = sample_run("a")
    ingest_lenient([stored], work, ADMIT)
    batch = [sample_run("a", agent_name="other"), sample_run("b"), refused(2), sample_run("b", run_id="other")]
    whole, bare = ingest_lenient(batch, work, ADMIT), ingest_lenient(batch, work, None)
    assert whole.runs == (stored, sample_run("b"), sample_run("b"))
    assert bare == attrs.evolve(whole, runs=(), created=0, existing=3)


def test_stored_runs_are_admitted_while_they_are_read(work: UnitOfWork) -> None:
    """Reading stops soon after too many bytes. A run sent twice counts twice; new runs do not count."""
    stored = [sample_run(f"e{number}", error_details="x" * 300_000) for number in range(10)]
    ingest_lenient(stored, work, ADMIT)
    seen: list[int] = []

    def admit(size: int) -> None:
        seen.append(size)
        if size > 1_000_000:
            raise ResponseTooLargeError(1_000_000)

    ingest_lenient([sample_run("new", error_details="x" * 500_000)], work, admit)
    assert seen == []
    with pytest.raises(ResponseTooLargeError):
        ingest_lenient([sample_run("e0"), *(sample_run(run.event_id) for run in stored)], work, admit)
    # One run beyond the limit was read, and no more.
    assert [size // 100_000 for size in seen] == [6, 9, 12]


@pytest.mark.parametrize("size", [1, 999, 1000])
def test_a_batch_of_one_to_a_thousand_is_taken(size: int) -> None:
    """The limits of the contract are inclusive at both ends."""
    assert check_batch_size(size, 1000) is None  # type: ignore[func-returns-value]


def test_an_empty_batch_is_none() -> None:
    """The message says ``at least 1`` and names the field."""
    with pytest.raises(NotABatchError, match="at least 1") as caught:
        check_batch_size(0, 1000)
    assert caught.value.field == "runs"


def test_a_batch_too_large_says_both_numbers() -> None:
    """The message is the contract's; the numbers are attributes."""
    with pytest.raises(BatchTooLargeError, match=r"^Batch size 1001 exceeds maximum limit of 1000 runs$") as caught:
        check_batch_size(1001, 1000)
    assert (caught.value.size, caught.value.limit) == (1001, 1000)
