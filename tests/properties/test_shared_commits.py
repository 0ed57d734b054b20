"""The law of uploads that share a commit: whatever they are, each fares as if it were alone."""

from collections.abc import Callable, Sequence
from threading import Event
from unittest.mock import patch

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.group_commit import GroupCommitWriter
from adapters.memory import MemoryStore
from core.errors import ResponseTooLargeError, RunsinkError
from core.model.batch import BatchResult, Candidate, RefusedRun
from core.model.run import Run
from core.model.validation_error import ValidationError
from core.ports.store import Store
from core.use_cases import ingest as ingesting
from core.use_cases.ingest import Mode, Upload, check_response_size, ingest, ingest_all
from core.use_cases.retention import raise_horizon
from tests.contract.samples import HANG_GUARD_SECONDS, at, everything, keep, read, sample_run

INVALID = RefusedRun(0, None, None, (ValidationError("status", "is bad"),))
SIZES = (10, 200_000, 300_000)
HORIZON = at(1)


@attrs.frozen
class Planned:
    """An upload whose stored runs may have so many bytes of text."""

    mode: Mode
    batch: Sequence[Candidate]
    room: int | None

    def upload(self, sizes: list[int]) -> Upload:
        """Return the upload; ``sizes`` receives what it asks to be admitted."""
        room = self.room

        def admit(size: int) -> None:
            sizes.append(size)
            check_response_size(size, room or 0)

        return Upload(self.mode, self.batch, None if room is None else admit)


def runs() -> st.SearchStrategy[Run]:
    """Generate runs of a few keys that differ in content and size; some start before the horizon."""
    return st.builds(
        lambda key, name, size, second: sample_run(
            key, agent_name=name, error_details="x" * size, start_time=at(second)
        ),
        *(st.sampled_from("abcd"), st.sampled_from("xy"), st.sampled_from(SIZES), st.sampled_from([0, 1, 1, 1, 2])),
    )


@st.composite
def planned(draw: st.DrawFn) -> Planned:
    """Generate uploads in each mode."""
    mode = draw(st.sampled_from(Mode))
    most = 1 if mode is Mode.SINGLE else 4
    batch = [
        attrs.evolve(candidate, index=index) if isinstance(candidate, RefusedRun) else candidate
        for index, candidate in enumerate(draw(st.lists(runs() | st.just(INVALID), min_size=1, max_size=most)))
    ]
    return Planned(mode, batch, draw(st.sampled_from([None, 100, 350_000, 10_000_000])))


def prepared() -> MemoryStore:
    """Return a store that has one of the runs, and a horizon."""
    store = MemoryStore()
    keep(store, sample_run("a", start_time=at(1), error_details="x" * 400_000))
    with store.unit_of_work() as work:
        raise_horizon(HORIZON, at(9), work)
        work.commit()
    return store


def one_by_one(store: Store, uploads: Sequence[Upload]) -> list[object]:
    """Ingest uploads, each in a unit of work of its own; return their outcomes."""
    return [_outcome(lambda upload=upload: _alone(store, upload)) for upload in uploads]  # type: ignore[misc]


def _alone(store: Store, upload: Upload) -> BatchResult:
    with store.unit_of_work() as work:
        result = ingest(upload, work)
        work.commit()
    return result


def together(store: Store, uploads: Sequence[Upload]) -> list[object]:
    """Ingest uploads that all wait for the same commit; return their outcomes."""
    writer, gate = GroupCommitWriter(store), Event()
    writer.submit(lambda _work: gate.wait(HANG_GUARD_SECONDS))
    futures = [writer.submit_item(ingest_all, upload) for upload in uploads]
    gate.set()
    outcomes = [_outcome(future.result) for future in futures]
    writer.close()
    return outcomes


def _outcome(call: Callable[[], BatchResult]) -> object:
    """Return a result, or what tells an error from others."""
    try:
        return call()
    except RunsinkError as error:
        return type(error), str(error), getattr(error, "result", None), getattr(error, "refused", None)


@settings(max_examples=200)
@given(plans=st.lists(planned(), min_size=2, max_size=6), most=st.integers(1, 12))
def test_uploads_that_share_a_commit_fare_as_if_alone(plans: list[Planned], most: int) -> None:
    """Results, errors, conflicts and counts are the same; so are the stored runs, their order, and what is admitted.

    Only if the uploads had to be tried again, one by one, may more have been admitted: at first they saw runs of one
    that was then rejected.
    """
    shared, alone = prepared(), prepared()
    asked: list[tuple[list[int], list[int]]] = [([], []) for _ in plans]
    pairs = list(zip(plans, asked, strict=True))
    with patch.object(ingesting, "MAX_SHARED_RUNS", most):
        outcomes = together(shared, [plan.upload(sizes) for plan, (sizes, _) in pairs])
    assert outcomes == one_by_one(alone, [plan.upload(sizes) for plan, (_, sizes) in pairs])
    assert read(shared, everything) == read(alone, everything)
    tried_again = any(isinstance(outcome, tuple) and outcome[0] is ResponseTooLargeError for outcome in outcomes)
    for (plan, (ours, theirs)), outcome in zip(pairs, outcomes, strict=True):
        if isinstance(outcome, BatchResult):
            most_together, most_alone = max(ours, default=0), max(theirs, default=0)
            assert most_together == most_alone or (tried_again and most_together > most_alone), plan
