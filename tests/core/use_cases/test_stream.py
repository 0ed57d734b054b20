"""Taking a stream chunk by chunk: what is counted, what is listed, and that nothing is taken twice."""

from collections.abc import Sequence
from itertools import pairwise

import attrs
from hypothesis import given
from hypothesis import strategies as st

from adapters.memory import MemoryStore
from core.errors import RunRefusedError
from core.model.batch import Candidate, RefusedRun
from core.model.run import differing_fixed_fields
from core.model.stream import MAX_LISTED, Chunk, LineConflict, LineError, StreamResult
from core.model.validation_error import ValidationError
from core.ports.store import Store
from core.use_cases.ingest import Mode, Upload, ingest
from core.use_cases.stream import take_chunk
from tests.contract.samples import all_keys, everything, keep, read, sample_run

BAD = (ValidationError("status", "is bad"), ValidationError("agent_name", "is required"))


def refused(line: int, *errors: ValidationError) -> RefusedRun:
    """A run that was refused."""
    return RefusedRun(line, f"event-{line}", None, errors or BAD[:1])


def take(store: Store, chunks: Sequence[Chunk], so_far: StreamResult | None = None) -> StreamResult:
    """Take chunks, each in a unit of work of its own."""
    result = so_far or StreamResult()
    for chunk in chunks:
        with store.unit_of_work() as work:
            result = take_chunk(result, chunk, work)
            work.commit()
    return result


def test_good_runs_are_stored_and_the_others_listed() -> None:
    """Every field of the result, over two chunks."""
    store = MemoryStore()
    keep(store, sample_run("b"), sample_run("c", agent_name="another"))
    first = Chunk([sample_run("a"), refused(2, *BAD), sample_run("b")], [1, 2, 3], 4)
    second = Chunk([sample_run("c"), sample_run("a"), sample_run("d")], [5, 7, 8], 9)
    assert take(store, [first, second]) == StreamResult(
        total=6,
        created=2,
        existing=3,
        failed=1,
        last_line=9,
        errors=tuple(LineError(2, "event-2", None, error) for error in BAD),
        conflicts=(LineConflict(5, "c", ("agent_name",)),),
    )
    assert all_keys(store) == {"a", "b", "c", "d"}


def test_a_chunk_without_a_good_run_is_fine() -> None:
    """Unlike a batch, and so is one of blank lines."""
    result = take(MemoryStore(), [Chunk([refused(1)], [1], 1), Chunk([], [], 7)])
    assert (result.total, result.failed, result.last_line) == (1, 1, 7)


def test_only_so_much_is_listed_and_the_rest_counted() -> None:
    """The first errors and conflicts are listed, over chunks."""
    store = MemoryStore()
    keep(store, sample_run("a", agent_name="another"))
    step = MAX_LISTED - 1
    result = StreamResult()
    for start in (1, step + 1, 2 * step + 1):
        lines = range(start, start + step)
        bad = Chunk([refused(line) for line in lines], lines, start + step - 1)
        result = take(store, [bad], result)
    assert [error.line for error in result.errors] == list(range(1, MAX_LISTED + 1))
    assert (result.failed, result.errors_omitted) == (3 * step, 3 * step - MAX_LISTED)
    lines = range(10_000, 10_000 + MAX_LISTED + 5)
    result = take(store, [Chunk([sample_run("a")] * len(lines), lines, lines[-1])], result)
    assert [conflict.line for conflict in result.conflicts] == list(lines[:MAX_LISTED])
    assert (result.existing, result.conflicts_omitted) == (len(lines), 5)


def test_a_chunk_that_was_undone_can_be_taken_again() -> None:
    """The result of before is as it was."""
    store, before = MemoryStore(), StreamResult()
    chunk = Chunk([sample_run("a"), refused(2)], [1, 2], 2)
    with store.unit_of_work() as work:
        take_chunk(before, chunk, work)
    assert (before, all_keys(store)) == (StreamResult(), set())
    assert take(store, [chunk], before).created == 1


def test_nothing_is_taken_or_counted_twice() -> None:
    """Whatever chunk comes again, whole or in part, only its new lines count."""
    store = MemoryStore()
    chunk = Chunk([sample_run("a"), refused(2), sample_run("c")], [1, 2, 4], 5)
    result = take(store, [chunk])
    assert take(store, [chunk, Chunk([sample_run("x")], [3], 3)], result) == result
    longer = Chunk([sample_run("a"), refused(2), sample_run("c"), sample_run("d")], [1, 2, 4, 6], 6)
    assert take(store, [longer], result) == attrs.evolve(result, total=4, created=3, last_line=6)


def candidates() -> st.SearchStrategy[list[Candidate]]:
    """Runs of few keys and contents, and refused ones."""
    runs = st.builds(
        lambda key, agent: sample_run(key, agent_name=agent), st.sampled_from("abc"), st.sampled_from("xy")
    )
    bad = st.integers(1, 2).map(lambda number: RefusedRun(0, None, None, BAD[:number]))
    return st.lists(runs | bad, max_size=20)


def one_by_one(store: Store, sent: Sequence[Candidate]) -> StreamResult:
    """What becomes of runs that are sent one by one."""
    created = existing = 0
    errors: list[LineError] = []
    conflicts: list[LineConflict] = []
    for line, candidate in enumerate(sent, 1):
        with store.unit_of_work() as work:
            before = set(all_keys(store))
            try:
                (stored,) = ingest(Upload(Mode.SINGLE, [candidate], lambda _: None), work).runs
            except RunRefusedError as error:
                errors += [LineError(line, None, None, wrong) for wrong in error.refused.errors]
                continue
            work.commit()
        assert not isinstance(candidate, RefusedRun)
        if stored.event_id not in before:
            created += 1
            continue
        existing += 1
        if fields := differing_fixed_fields(candidate, stored):
            conflicts.append(LineConflict(line, stored.event_id, fields))
    return StreamResult(
        total=len(sent),
        created=created,
        existing=existing,
        failed=len(sent) - created - existing,
        last_line=len(sent),
        errors=tuple(errors),
        conflicts=tuple(conflicts),
    )


@given(sent=candidates(), cuts=st.lists(st.integers(0, 20), max_size=5))
def test_a_stream_is_what_its_runs_are_one_by_one(sent: list[Candidate], cuts: list[int]) -> None:
    """However it is cut into chunks."""
    numbered = [
        attrs.evolve(candidate, index=line) if isinstance(candidate, RefusedRun) else candidate
        for line, candidate in enumerate(sent, 1)
    ]
    places = sorted({0, len(sent), *(min(cut, len(sent)) for cut in cuts)})
    chunks = [Chunk(numbered[start:end], range(start + 1, end + 1), end) for start, end in pairwise(places)]
    streamed, single = MemoryStore(), MemoryStore()
    assert take(streamed, chunks) == one_by_one(single, sent)
    assert read(streamed, everything) == read(single, everything)
