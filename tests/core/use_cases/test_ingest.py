"""The ingest use cases, on the memory store."""

from collections.abc import Iterator, Sequence
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
from core.use_cases import ingest as ingesting
from core.use_cases.ingest import (
    Admit,
    Mode,
    Upload,
    check_batch_size,
    check_response_size,
    ingest,
    ingest_all,
    single_upload,
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


def lenient(batch: Sequence[Candidate], work: UnitOfWork, admit: Admit | None) -> BatchResult:
    """Ingest a lenient batch alone."""
    return ingest(Upload(Mode.LENIENT, batch, admit), work)


def atomic(batch: Sequence[Candidate], work: UnitOfWork, admit: Admit | None) -> BatchResult:
    """Ingest an atomic batch alone."""
    return ingest(Upload(Mode.ATOMIC, batch, admit), work)


def single(run: Run, admit: Admit = ADMIT) -> Upload:
    """Return the upload of a single run."""
    return Upload(Mode.SINGLE, [run], admit)


@pytest.fixture
def work() -> Iterator[UnitOfWork]:
    """Yield an entered unit of work of an empty store."""
    with MemoryStore().unit_of_work() as entered:
        yield entered


@pytest.mark.parametrize("size", [1, 2, 100, 1000])
@pytest.mark.parametrize("mode", Mode)
def test_a_batch_costs_two_calls_whatever_its_size(size: int, mode: Mode) -> None:
    """The repository is called twice for new runs, for the horizon and to add them, and twice for the same again."""
    work = CountedWork()
    batch = [sample_run(f"event-{number}") for number in range(size)]
    for _ in range(2):
        ingest(Upload(mode, batch, ADMIT), work)
    assert work.runs.calls == ["retention_horizon", "add"] * 2


@pytest.mark.parametrize("mode", [Mode.LENIENT, Mode.ATOMIC, Mode.SINGLE])
def test_a_refused_batch_does_not_touch_the_repository(mode: Mode) -> None:
    """If no run can be stored, the store is not called."""
    work = CountedWork()
    with pytest.raises((BatchRolledBackError, EveryRunRefusedError, RunRefusedError)):
        ingest(Upload(mode, [refused(0)], ADMIT), work)
    assert work.runs.calls == []


def test_a_good_batch_is_stored_in_its_order(work: UnitOfWork) -> None:
    """Both modes store all of a valid batch and return it in the order sent."""
    first, second = [sample_run("b"), sample_run("a")], [sample_run("d"), sample_run("c")]
    assert lenient(first, work, ADMIT) == BatchResult(tuple(first), 2, 2, 0, 0)
    assert atomic(second, work, ADMIT) == BatchResult(tuple(second), 2, 2, 0, 0)
    assert [run.event_id for run in everything(work.runs)] == ["c", "d", "a", "b"]


def test_lenient_stores_the_good_and_names_the_bad(work: UnitOfWork) -> None:
    """Failed runs are left out of ``runs``, and keep their indices in ``refused``."""
    bad = (refused(1), refused(3, "one", "two"))
    batch: list[Candidate] = [sample_run("a"), bad[0], sample_run("b"), bad[1]]
    result = lenient(batch, work, ADMIT)
    assert result == BatchResult((sample_run("a"), sample_run("b")), 4, 2, 0, 2, bad)
    assert len(everything(work.runs)) == 2


def test_lenient_with_every_run_bad_is_an_error_with_the_counts(work: UnitOfWork) -> None:
    """The error carries a result that lists every run."""
    bad = (refused(0), refused(1))
    with pytest.raises(EveryRunRefusedError) as caught:
        lenient(bad, work, ADMIT)
    assert caught.value.result == BatchResult((), 2, 0, 0, 2, bad)


def test_atomic_with_a_bad_run_stores_nothing_and_names_every_bad_one(work: UnitOfWork) -> None:
    """One invalid run fails the whole batch: all runs count as failed, and every invalid one is named."""
    bad = (refused(1), refused(2))
    with pytest.raises(BatchRolledBackError) as caught:
        atomic([sample_run("a"), *bad], work, ADMIT)
    assert caught.value.result == BatchResult((), 3, 0, 0, 3, bad)
    assert everything(work.runs) == ()


def test_a_key_twice_in_one_batch_is_one_run(work: UnitOfWork) -> None:
    """The first run of a key is created; the others count as existing and return the first."""
    first, again = sample_run("a"), sample_run("a", status=Status.FAILURE)
    assert atomic([first, again, first], work, ADMIT) == BatchResult((first, first, first), 3, 1, 2, 0)
    assert everything(work.runs) == (first,)


def test_a_stored_run_comes_back_unchanged(work: UnitOfWork) -> None:
    """A run sent under a known key does not change the stored one, and mutable fields cause no conflict."""
    stored = sample_run("a", duration_ms=Count(1))
    atomic([stored], work, ADMIT)
    resent = sample_run("a", duration_ms=Count(2), created_at=at(9), updated_at=at(9), commit_author="me")
    assert atomic([resent], work, ADMIT) == BatchResult((stored,), 1, 0, 1, 0)


def test_differing_fixed_fields_are_a_conflict(work: UnitOfWork) -> None:
    """A different run sent under an existing key is a conflict that lists the fields, not an error."""
    atomic([sample_run("a")], work, ADMIT)
    other = sample_run("a", agent_name="x", product="y", status=Status.FAILURE)
    result = lenient([refused(0), other], work, ADMIT)
    assert result.conflicts == (Conflict(1, "a", ("agent_name", "product")),)
    assert (result.created, result.existing, result.failed) == (0, 1, 1)


def test_conflicts_arise_within_a_batch_too(work: UnitOfWork) -> None:
    """A run whose key occurred earlier in the batch is compared with the earlier one."""
    result = atomic([sample_run("a"), sample_run("a", run_id="other"), sample_run("a")], work, ADMIT)
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
    assert ingest(single(first, sizes.append), work) == BatchResult((first,), 1, 1, 0, 0)
    assert sizes == []
    assert ingest(single(again, sizes.append), work).runs == (first,)
    assert sizes == [count_text_bytes(first)]


def test_single_runs_are_stored_together(work: UnitOfWork) -> None:
    """Each in its place: new ones, an existing one, and one that is sent twice; the first of equal keys wins."""
    keep_all(work, [sample_run("old")])
    sent = [sample_run("a"), sample_run("old", agent_name="x"), sample_run("b"), sample_run("a", agent_name="y")]
    results = [outcome for outcome in ingest_all(list(map(single, sent)), work) if isinstance(outcome, BatchResult)]
    assert [result.runs for result in results] == [(sent[0],), (sample_run("old"),), (sent[2],), (sent[0],)]
    assert [result.created for result in results] == [1, 0, 1, 0]
    assert work.runs.get(sent[0].event_id) == sent[0]


def reject(_size: int) -> None:
    """Admit no stored run."""
    raise ResponseTooLargeError(1)


def test_a_single_run_that_is_not_admitted_fails_alone(work: UnitOfWork) -> None:
    """The error of ``admit`` is its outcome, and the others are stored."""
    keep_all(work, [sample_run("old")])
    outcomes = ingest_all([single(sample_run(key), reject) for key in ("old", "new", "new")], work)
    assert [type(outcome) for outcome in outcomes] == [ResponseTooLargeError, BatchResult, ResponseTooLargeError]
    assert len(everything(work.runs)) == 2


def test_uploads_of_any_kind_share_one_add() -> None:
    """The repository is called for all of them as often as for one, be they stored, known or rejected."""
    work = CountedWork()
    uploads = [
        Upload(Mode.LENIENT, [sample_run("a"), refused(1), sample_run("b")], ADMIT),
        Upload(Mode.ATOMIC, [sample_run("b", agent_name="x"), sample_run("c")], ADMIT),
        Upload(Mode.ATOMIC, [sample_run("d"), refused(1)], ADMIT),
        Upload(Mode.LENIENT, [refused(0)], ADMIT),
        Upload(Mode.PART, [refused(7)], indices=[7]),
        single(sample_run("e")),
    ]
    mixed, known, rolled_back, hopeless, part, alone = ingest_all(uploads, work)
    assert work.runs.calls == ["retention_horizon", "add"]
    assert mixed == BatchResult((sample_run("a"), sample_run("b")), 3, 2, 0, 1, (refused(1),))
    assert known == BatchResult(
        (sample_run("b"), sample_run("c")), 2, 1, 1, 0, conflicts=(Conflict(0, "b", ("agent_name",)),)
    )
    assert isinstance(rolled_back, BatchRolledBackError)
    assert isinstance(hopeless, EveryRunRefusedError)
    assert part == BatchResult((), 1, 0, 0, 1, (refused(7),))
    assert alone == BatchResult((sample_run("e"),), 1, 1, 0, 0)
    assert {run.event_id for run in everything(work.runs)} == {"a", "b", "c", "e"}


def test_a_stored_run_is_told_to_everyone_who_sent_it(work: UnitOfWork) -> None:
    """Each upload has its own conflicts, at its own places, and its own admission."""
    keep_all(work, [sample_run("old")])
    sizes: list[int] = []
    uploads = [
        Upload(Mode.LENIENT, [sample_run("new"), sample_run("old", product="x")], ADMIT),
        Upload(Mode.ATOMIC, [sample_run("old", agent_name="y"), sample_run("old")], sizes.append),
    ]
    first, second = ingest_all(uploads, work)
    assert first == BatchResult(
        (sample_run("new"), sample_run("old")), 2, 1, 1, 0, conflicts=(Conflict(1, "old", ("product",)),)
    )
    assert second == BatchResult(
        (sample_run("old"), sample_run("old")), 2, 0, 2, 0, conflicts=(Conflict(0, "old", ("agent_name",)),)
    )
    assert sizes == [2 * count_text_bytes(sample_run("old"))]


def test_a_batch_that_is_not_admitted_ends_all_that_share_its_add(work: UnitOfWork) -> None:
    """Nobody knows what was stored of it, so that the caller has to undo it and to go on one by one."""
    keep_all(work, [sample_run("old")])
    uploads = [single(sample_run("a")), Upload(Mode.LENIENT, [sample_run("b"), sample_run("old")], reject)]
    with pytest.raises(ResponseTooLargeError):
        ingest_all(uploads, work)


def test_a_run_that_an_earlier_upload_creates_is_admitted(work: UnitOfWork) -> None:
    """The later one gets back a run that may be larger than what it sent."""
    large = sample_run("a", error_details="x" * 1000)
    with pytest.raises(ResponseTooLargeError):
        ingest_all([single(large, reject), Upload(Mode.LENIENT, [sample_run("b"), sample_run("a")], reject)], work)


def test_a_run_that_a_batch_repeats_is_admitted(work: UnitOfWork) -> None:
    """A large run and many small ones of its key would make a response much larger than the batch."""
    batch = [sample_run("a", error_details="x" * 300_000), *(sample_run("a") for _ in range(999))]
    with pytest.raises(ResponseTooLargeError):
        lenient(batch, work, ADMIT)


@pytest.mark.parametrize(
    ("sizes", "adds"),
    [([1] * 5, [5]), ([4, 1, 1], [5, 1]), ([3, 3], [3, 3]), ([9, 1, 1], [9, 2]), ([1, 9, 5, 1], [1, 9, 5, 1])],
)
def test_what_shares_an_add_is_bounded(sizes: list[int], adds: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads that have more runs together than that are stored by several, in their order; one alone is not split."""
    monkeypatch.setattr(ingesting, "MAX_SHARED_RUNS", 5)
    work = CountedWork()
    uploads = [
        Upload(Mode.ATOMIC, [sample_run(f"{place}-{number}") for number in range(size)])
        for place, size in enumerate(sizes)
    ]
    ingest_all(uploads, work)
    assert work.runs.added == adds
    again = ingest_all([Upload(Mode.ATOMIC, [run]) for upload in uploads for run in upload.batch], work)
    assert all(isinstance(outcome, BatchResult) and outcome.existing == 1 for outcome in again)


def test_create_refuses_a_bad_run(work: UnitOfWork) -> None:
    """The error carries the refused run, and its message lists every validation error."""
    with pytest.raises(RunRefusedError, match="start_time one; start_time two") as caught:
        single_upload(refused(0, "one", "two"), ADMIT)
    assert caught.value.refused == refused(0, "one", "two")
    assert everything(work.runs) == ()


def test_without_a_wish_for_runs_none_is_returned(work: UnitOfWork) -> None:
    """Counts and conflicts are the same, but the result holds no runs."""
    stored = sample_run("a")
    lenient([stored], work, ADMIT)
    batch = [sample_run("a", agent_name="other"), sample_run("b"), refused(2), sample_run("b", run_id="other")]
    whole, bare = lenient(batch, work, ADMIT), lenient(batch, work, None)
    assert whole.runs == (stored, sample_run("b"), sample_run("b"))
    assert bare == attrs.evolve(whole, runs=(), created=0, existing=3)


def test_stored_runs_are_admitted_while_they_are_read(work: UnitOfWork) -> None:
    """Reading stops soon after too many bytes. A run sent twice counts twice; new runs do not count."""
    stored = [sample_run(f"e{number}", error_details="x" * 300_000) for number in range(10)]
    lenient(stored, work, ADMIT)
    seen: list[int] = []

    def admit(size: int) -> None:
        seen.append(size)
        if size > 1_000_000:
            raise ResponseTooLargeError(1_000_000)

    lenient([sample_run("new", error_details="x" * 500_000)], work, admit)
    assert seen == []
    with pytest.raises(ResponseTooLargeError):
        lenient([sample_run("e0"), *(sample_run(run.event_id) for run in stored)], work, admit)
    # One run beyond the limit was read, and no more.
    assert [size // 100_000 for size in seen] == [3, 6, 9, 12]


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
