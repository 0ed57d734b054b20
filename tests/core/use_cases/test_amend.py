"""The use case that amends runs, on the memory store."""

from collections.abc import Iterator, Sequence

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory import MemoryStore
from core.model.batch import BatchResult, Candidate, Conflict, RefusedRun
from core.model.run import Commit, CommitHash, CommitSource, EventId, Run, RunChanges, Status, Text, Timestamp
from core.model.validation_error import ValidationError
from core.ports.unit_of_work import UnitOfWork
from core.use_cases.amend import ingest_amending
from core.use_cases.update import associate_commit, update_run
from tests.contract.samples import at, everything, sample_run
from tests.fakes.run_repository import CountedWork

EXAMPLES = settings(max_examples=200)

LATER = {"created_at": at(5), "updated_at": at(5)}


def running(**fields: object) -> Run:
    """Return a run that is reported when it starts."""
    return sample_run("a", **fields)


def ended(**fields: object) -> Run:
    """Return the same run when it is reported after its end."""
    return sample_run("a", **{"status": Status.SUCCESS, "end_time": at(3), **LATER, **fields})


def ingest(work: UnitOfWork, *batch: Candidate) -> BatchResult:
    """Store a batch whose rejected runs have their places as indices."""
    return ingest_amending(batch, range(len(batch)), work)


def stored(work: UnitOfWork) -> Run:
    """Return the one stored run."""
    (run,) = everything(work.runs)
    return run


@pytest.fixture
def work() -> Iterator[UnitOfWork]:
    """Yield an entered unit of work of an empty store."""
    with MemoryStore().unit_of_work() as entered:
        yield entered


def test_an_ended_run_takes_the_place_of_the_running_one(work: UnitOfWork) -> None:
    """Every field of the client is that of the ended one, immutable ones too; only ``created_at`` stays."""
    ingest(work, running(item_name="first", output_summary="so far"))
    end = ended(run_id="other", agent_name="other", job_type="other", start_time=at(1), parent_run_id="p", product="x")
    assert ingest(work, end) == BatchResult((), 1, created=0, existing=1, failed=0, amended=1)
    assert stored(work) == attrs.evolve(end, created_at=Timestamp(at(0)))


@pytest.mark.parametrize(("first", "then"), [(running(), running()), (ended(), ended())])
def test_an_equal_run_is_no_conflict(work: UnitOfWork, first: Run, then: Run) -> None:
    """The same report again exists, whenever it arrives."""
    ingest(work, first)
    assert ingest(work, attrs.evolve(then, created_at=Timestamp(at(9)))) == BatchResult((), 1, 0, 1, 0)
    assert stored(work) == first


@pytest.mark.parametrize(
    ("first", "then", "fields"),
    [
        (ended(), ended(output_summary="x", item_name="y"), ("item_name", "output_summary")),
        (ended(), running(), ("status", "end_time")),
        (running(), running(context_json="{}"), ("context_json",)),
    ],
)
def test_any_other_run_is_a_conflict(work: UnitOfWork, first: Run, then: Run, fields: tuple[str, ...]) -> None:
    """The first one stays, and the conflict names each field that differs, also those that an update can change."""
    ingest(work, first)
    bad = RefusedRun(0, "bad", None, (ValidationError("start_time", "is no"),))
    assert ingest(work, bad, then).conflicts == (Conflict(1, "a", fields),)
    assert stored(work) == first


def test_what_was_updated_since_is_no_conflict(work: UnitOfWork) -> None:
    """Of a run that was updated, only the immutable fields are compared."""
    ingest(work, ended())
    update_run("a", RunChanges(output_summary=Text("mine"), status=Status.FAILURE), Timestamp(at(7)), work)
    assert ingest(work, ended()).conflicts == ()
    assert ingest(work, ended(agent_name="x")).conflicts == (Conflict(0, "a", ("agent_name",)),)
    assert stored(work).output_summary == "mine"


def test_a_run_that_an_update_ended_is_not_amended(work: UnitOfWork) -> None:
    """It has ended already, so the first one stays."""
    ingest(work, running())
    updated = update_run("a", RunChanges(status=Status.CANCELLED), Timestamp(at(7)), work)
    assert ingest(work, ended(output_summary="x")) == BatchResult((), 1, 0, 1, 0)
    assert stored(work) == updated


COMMIT = Commit(CommitHash("abcdef1"), CommitSource.CI, Text("me"), Timestamp(at(2)))


@pytest.mark.parametrize("own", [{}, {"commit_hash": "1234567"}])
def test_a_commit_that_was_associated_meanwhile_is_kept(work: UnitOfWork, own: dict[str, object]) -> None:
    """It is kept whole, also if the ended run says without a source which commit it ran on."""
    ingest(work, running(**own))
    associate_commit("a", COMMIT, Timestamp(at(4)), work)
    ingest(work, ended(**own))
    assert stored(work) == attrs.evolve(ended(**attrs.asdict(COMMIT)), created_at=Timestamp(at(0)))


def test_a_commit_with_a_source_replaces_another(work: UnitOfWork) -> None:
    """If the ended run names who associated its commit, it is that one, and nothing is left of the other."""
    ingest(work, running())
    associate_commit("a", COMMIT, Timestamp(at(4)), work)
    end = ended(commit_hash="1234567", commit_source=CommitSource.MANUAL)
    ingest(work, end)
    assert stored(work) == attrs.evolve(end, created_at=Timestamp(at(0)))


def test_a_commit_that_only_the_running_one_has_is_not_kept(work: UnitOfWork) -> None:
    """Nobody associated it, so the run is the same as if the ended one had arrived first."""
    ingest(work, running(**attrs.asdict(COMMIT)))
    ingest(work, ended())
    assert stored(work).commit_hash is None


def test_the_first_ended_run_of_a_batch_is_stored(work: UnitOfWork) -> None:
    """It is created at once; what came before it is amended, what comes after it and differs is a conflict."""
    batch = [running(), running(product="x"), ended(), ended(product="y"), running(), ended()]
    batch = [attrs.evolve(run, created_at=Timestamp(at(0)), updated_at=Timestamp(at(0))) for run in batch]
    assert ingest(work, *batch) == BatchResult(
        runs=(),
        total=6,
        created=1,
        existing=5,
        failed=0,
        conflicts=(
            Conflict(1, "a", ("product",)),
            Conflict(3, "a", ("product",)),
            Conflict(4, "a", ("status", "end_time")),
        ),
        amended=1,
    )
    assert stored(work) == batch[2]


def test_rejected_runs_have_the_indices_that_were_given(work: UnitOfWork) -> None:
    """A run before the retention horizon is rejected, whether or not it would amend one, and all others are stored."""
    ingest(work, running(start_time=at(3)))
    work.runs.raise_retention_horizon(Timestamp(at(2)))
    result = ingest_amending([ended(start_time=at(1)), sample_run("b", start_time=at(2))], [10, 11], work)
    assert (result.created, result.existing, result.failed, result.amended) == (1, 0, 1, 0)
    assert [refused.index for refused in result.refused] == [10]


@pytest.mark.parametrize("size", [1, 1000])
def test_a_batch_costs_at_most_three_calls(size: int) -> None:
    """The repository is called for the horizon, to add the runs and, only if some amend others, to amend those."""
    work = CountedWork()
    batches = [
        [sample_run(f"e-{number}", status=status) for number in range(size)]
        for status in (Status.RUNNING, Status.SUCCESS, Status.RUNNING)
    ]
    for batch in batches:
        ingest_amending(batch, range(size), work)  # type: ignore[arg-type]
    called = ["retention_horizon", "add"]
    assert work.runs.calls == [*called, *called, "amend", *called]


@st.composite
def exports(draw: st.DrawFn) -> Sequence[Sequence[Run]]:
    """Generate what clients export of a few runs: reports while each runs, one of its end, repeated and in any order.

    They come in batches.
    """
    reports = []
    for key in ("a", "b", "c")[: draw(st.integers(1, 3))]:
        names = st.sampled_from(["x", "y"])
        progress = st.builds(lambda name, product, key=key: sample_run(key, run_id=name, product=product), names, names)
        end = sample_run(key, run_id=draw(names), job_type=draw(names), status=draw(_ENDED), commit_hash=draw(_HASHES))
        reports += [end, *draw(st.lists(progress, max_size=3))]
    repeated = draw(st.lists(st.sampled_from(reports), max_size=6))
    return draw(_grouped(draw(st.permutations([*reports, *repeated]))))


_ENDED = st.sampled_from(sorted(set(Status) - {Status.RUNNING}))
_HASHES = st.none() | st.just("abcdef1")


@st.composite
def _grouped(draw: st.DrawFn, runs: Sequence[Run]) -> Sequence[Sequence[Run]]:
    """Generate batches of runs, in their order; each is received later than the one before."""
    ends = sorted({*draw(st.lists(st.integers(1, len(runs)), max_size=4)), len(runs)})
    return [
        [attrs.evolve(run, created_at=Timestamp(at(end)), updated_at=Timestamp(at(end))) for run in runs[start:end]]
        for start, end in zip([0, *ends], ends, strict=False)
    ]


@EXAMPLES
@given(batches=exports())
def test_any_order_and_repetition_of_exports_ends_in_the_same_runs(batches: Sequence[Sequence[Run]]) -> None:
    """Each run is as its end was reported, apart from the server's own timestamps, and every report is counted."""
    sent = [run for batch in batches for run in batch]
    expected = {run.event_id: run for run in sent if run.status is not Status.RUNNING}
    with MemoryStore().unit_of_work() as work:
        results = [ingest(work, *batch) for batch in batches]
        found = {run.event_id: run for run in everything(work.runs)}
    times = {"created_at": Timestamp(at(0)), "updated_at": Timestamp(at(0))}
    assert {key: attrs.evolve(run, **times) for key, run in found.items()} == {
        key: attrs.evolve(run, **times) for key, run in expected.items()
    }
    assert sum(result.created for result in results) == len(expected)
    assert sum(result.total for result in results) == len(sent)
    assert all(result.total == result.created + result.existing for result in results)


@EXAMPLES
@given(
    reports=st.lists(
        st.builds(
            lambda key, name, status: sample_run(key, run_id=name, status=status),
            st.sampled_from("ab"),
            st.sampled_from("xy"),
            st.sampled_from(Status),
        ),
        min_size=1,
        max_size=8,
    ),
    data=st.data(),
)
def test_a_batch_is_the_same_as_its_runs_one_at_a_time(reports: list[Run], data: st.DataObject) -> None:
    """Counts, conflicts and what is stored do not depend on how runs are grouped, if they are received at once."""
    first = data.draw(st.integers(0, len(reports)))
    with MemoryStore().unit_of_work() as work:
        results = [ingest(work, run) for run in reports]
        alone = everything(work.runs)
    with MemoryStore().unit_of_work() as work:
        grouped = [ingest(work, *batch) for batch in (reports[:first], reports[first:])]
        assert everything(work.runs) == alone
    assert _sums(grouped) == _sums(results)
    found = [*grouped[0].conflicts, *(attrs.evolve(one, index=first + one.index) for one in grouped[1].conflicts)]
    assert found == [attrs.evolve(one, index=at) for at, result in enumerate(results) for one in result.conflicts]


def _sums(results: Sequence[BatchResult]) -> tuple[int, int, int]:
    created, existing, amended = zip(*((one.created, one.existing, one.amended) for one in results), strict=True)
    return sum(created), sum(existing), sum(amended)


def test_a_run_is_passed_to_the_store_once_per_key(work: UnitOfWork) -> None:
    """A key that is repeated in a batch is amended by one call with that key."""
    ingest(work, running())
    assert ingest(work, ended(), ended(), running()).amended == 1
    assert work.runs.get(EventId("a")) == attrs.evolve(ended(), created_at=Timestamp(at(0)))
