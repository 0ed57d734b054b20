"""Every sentence of ``core.ports.run_repository`` about amending runs, for every store."""

from collections.abc import Sequence
from contextlib import suppress

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory import MemoryStore
from core.model.listing import MAX_PART_BYTES, NameField, NamesRequest, PageRequest, RunFilter
from core.model.run import EventId, Run, Status, Text
from core.model.statistics import FacetField, FacetsRequest, StatisticsRequest
from core.model.tree import Room
from core.ports.run_repository import RunReader, RunRepository
from core.ports.store import Store
from tests.contract.samples import at, everything, keep, read, sample_run
from tests.properties.strategies import kept_runs

EXAMPLES = settings(max_examples=60)

NAMES = ("", "a", "b")


def amend(runs: RunRepository, *changed: Run) -> None:
    """Put runs in place of those with their keys."""
    by_key = {run.event_id: run for run in changed}
    runs.amend(list(by_key), lambda stored: by_key[stored.event_id])


def impression(runs: RunReader) -> object:
    """Return everything that a reader can learn about runs with these names."""
    stored = everything(runs)
    by_name = [
        (
            runs.newest(name),
            runs.page(RunFilter(run_id=Text(name)), PageRequest()).runs,
            runs.page(RunFilter(parent_run_id=Text(name)), PageRequest()).runs,
            [runs.count(RunFilter(**{field: Text(name)})) for field in ("agent_name", "job_type", "run_id")],  # type: ignore[arg-type]
        )
        for name in NAMES
    ]
    return (
        stored,
        [runs.get(run.event_id) for run in stored],
        runs.count(RunFilter()),
        [runs.page(RunFilter(roots=True), PageRequest()).runs, runs.count(RunFilter(roots=True))],
        [runs.names(field, NamesRequest()) for field in NameField],
        by_name,
        [run.event_id for run in runs.children(list(NAMES), Room(100, MAX_PART_BYTES)).runs],
        runs.statistics(RunFilter(), StatisticsRequest(bucket_seconds=1, max_runs=100, max_buckets=100)),
        runs.facets(RunFilter(), FacetsRequest(fields=tuple(FacetField), max_runs=100, max_values=100)),
    )


@st.composite
def similar_runs(draw: st.DrawFn, number: int) -> Run:
    """Generate runs with few distinct starts and names; also with the start that keys have as 0."""
    few = st.sampled_from(NAMES)
    return sample_run(
        f"event-{number}",
        start_time=draw(st.sampled_from([at(0), at(1), "2028-01-01T00:00:00.000000Z"])),
        **{name: draw(few) for name in ("run_id", "agent_name", "job_type")},
        **{name: draw(st.none() | few) for name in ("parent_run_id", "product")},
        status=draw(st.sampled_from(Status)),
        duration_ms=draw(st.none() | st.integers(0, 3)),
    )


@st.composite
def changes(draw: st.DrawFn) -> Sequence[tuple[Run, Run | None]]:
    """Generate runs, each with what it becomes."""
    numbers = range(draw(st.integers(0, 8)))
    return [(draw(similar_runs(number)), draw(st.none() | similar_runs(number))) for number in numbers]


@EXAMPLES
@given(pairs=changes(), others=st.lists(similar_runs(99), max_size=1))
def test_it_is_as_if_the_amended_run_had_been_added(
    empty_store: Store, pairs: Sequence[tuple[Run, Run | None]], others: list[Run]
) -> None:
    """Nothing that derives from a run remains of the one before: lists, counts, names, children and figures."""
    becoming = {before.event_id: after for before, after in pairs}
    with MemoryStore().unit_of_work() as work:
        work.runs.add([*(after or before for before, after in pairs), *others])
        expected = impression(work.runs)
    with empty_store.unit_of_work() as work:
        work.runs.add([*(before for before, _ in pairs), *others])
        work.runs.amend(list(becoming), lambda stored: becoming[stored.event_id])
        assert impression(work.runs) == expected


@EXAMPLES
@given(before=kept_runs(), after=kept_runs())
def test_every_field_but_the_key_can_be_amended(empty_store: Store, before: Run, after: Run) -> None:
    """Amended runs are read exactly, field by field, for any two runs."""
    after = attrs.evolve(after, event_id=before.event_id)
    with empty_store.unit_of_work() as work:
        work.runs.add([before])
        amend(work.runs, after)
        assert work.runs.get(before.event_id) == after
        assert work.runs.newest(after.run_id) == after


def test_only_the_named_runs_are_passed_and_each_once(store: Store) -> None:
    """The others are neither passed nor changed, and ``None`` changes nothing."""
    keep(store, *(sample_run(key) for key in "abcd"))
    passed: list[Run] = []
    with store.unit_of_work() as work:
        work.runs.amend([EventId("d"), EventId("a")], passed.append)
        work.commit()
    assert sorted(run.event_id for run in passed) == ["a", "d"]
    assert all(run == sample_run(run.event_id) for run in passed)
    assert read(store, everything) == tuple(sample_run(key) for key in "dcba")


def test_amending_nothing_is_nothing(store: Store) -> None:
    """Without keys, nothing is passed and nothing is changed."""
    keep(store, sample_run())
    with store.unit_of_work() as work:
        amend(work.runs)
        work.commit()
    assert read(store, everything) == (sample_run(),)


def test_a_thousand_runs_are_amended_in_one_call(store: Store) -> None:
    """A full batch, of which every second run changes all its names, is handled like a small one."""
    runs = [sample_run(f"event-{number}", start_time=at(number)) for number in range(1000)]
    changed = [attrs.evolve(run, run_id=Text("x"), agent_name=Text("y"), job_type=Text("z")) for run in runs[::2]]  # type: ignore[arg-type]
    with store.unit_of_work() as work:
        work.runs.add(runs)
        amend(work.runs, *changed)
        work.commit()
    with store.reader() as kept:
        assert kept.page(RunFilter(run_id=Text("x")), PageRequest(limit=1000)).runs == tuple(reversed(changed))
        assert [kept.count(RunFilter(agent_name=Text(name))) for name in ("y", "translator")] == [500, 500]


def test_runs_larger_than_a_part_are_amended_as_well(store: Store) -> None:
    """Wherever a part ends, each run is passed once."""
    sizes = (1, MAX_PART_BYTES // 3, MAX_PART_BYTES + 1, 1, MAX_PART_BYTES // 2, MAX_PART_BYTES, 1)
    runs = [sample_run(f"event-{number}", error_details="x" * size) for number, size in enumerate(sizes)]
    keep(store, *runs)
    passed: list[str] = []

    def change(stored: Run) -> Run:
        passed.append(stored.event_id)
        return sample_run(stored.event_id, run_id=f"was-{len(stored.error_details or '')}")

    with store.unit_of_work() as work:
        work.runs.amend([run.event_id for run in runs], change)
        work.commit()
    assert sorted(passed) == [run.event_id for run in runs]
    assert [run.run_id for run in reversed(read(store, everything))] == [f"was-{size}" for size in sizes]


def test_an_error_of_the_caller_propagates(store: Store) -> None:
    """What was changed before is undone with the unit of work."""
    keep(store, sample_run("a"), sample_run("b"))

    def reject(_stored: Run) -> None:
        raise KeyError

    with store.unit_of_work() as work:
        amend(work.runs, sample_run("a", agent_name="x"))
        with pytest.raises(KeyError):
            work.runs.amend([EventId("b")], reject)
    assert read(store, impression) == read(_holding(sample_run("a"), sample_run("b")), impression)


def test_a_savepoint_undoes_it(store: Store) -> None:
    """After a savepoint that was left by an error, keys and names are those of before."""
    keep(store, sample_run("a", run_id="a"))
    with store.unit_of_work() as work:
        with suppress(KeyError), work.savepoint():
            amend(work.runs, sample_run("a", run_id="b", agent_name="x", start_time=at(9)))
            raise KeyError
        work.commit()
    assert read(store, impression) == read(_holding(sample_run("a", run_id="a")), impression)


def test_a_commit_of_it_is_a_new_version(store: Store) -> None:
    """A reader notices that something changed."""
    keep(store, sample_run())
    before = read(store, lambda runs: runs.version())
    with store.unit_of_work() as work:
        amend(work.runs, sample_run(status=Status.SUCCESS))
        work.commit()
    assert read(store, lambda runs: runs.version()) != before


def _holding(*runs: Run) -> Store:
    store = MemoryStore()
    keep(store, *runs)
    return store
