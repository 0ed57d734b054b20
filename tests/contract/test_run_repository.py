"""Every sentence of ``core.ports.run_repository``, for every store."""

from collections.abc import Iterator
from unicodedata import normalize
from uuid import uuid4

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.listing import Cursor, NameField, NamesRequest, PageRequest, RunFilter
from core.model.run import FIXED_FIELDS, EventId, Run, Status, Text, Timestamp
from core.ports.run_repository import RunReader
from core.ports.store import Store
from tests.contract.samples import add, agent_names, at, everything, keep, read, sample_run
from tests.properties.strategies import kept_runs, texts

EXAMPLES = settings(max_examples=60)


def test_add_keeps_every_new_run(store: Store) -> None:
    """Runs with new keys are all stored, and none is reported as existing."""
    runs = [sample_run(f"event-{number}") for number in range(5)]
    with store.unit_of_work() as work:
        assert add(work.runs, runs) == {}
        work.commit()
    with store.reader() as kept:
        assert [kept.get(run.event_id) for run in runs] == runs


def test_add_returns_the_kept_run_and_leaves_it_alone(store: Store) -> None:
    """A run whose key exists is returned as stored, whatever was sent now."""
    first, second = sample_run(agent_name="first"), sample_run(agent_name="second")
    keep(store, first)
    with store.unit_of_work() as work:
        assert add(work.runs, [second]) == {first.event_id: first}
        work.commit()
    assert read(store, everything) == (first,)


def test_add_tells_old_from_new_in_one_call(store: Store) -> None:
    """Of a mixed batch, existing runs are reported and new ones are stored."""
    old = [sample_run(f"old-{number}") for number in range(3)]
    new = [sample_run(f"new-{number}") for number in range(3)]
    keep(store, *old)
    with store.unit_of_work() as work:
        assert add(work.runs, [new[0], old[2], new[1], old[0], new[2]]) == {
            old[0].event_id: old[0],
            old[2].event_id: old[2],
        }
        work.commit()
    assert set(read(store, everything)) == {*old, *new}


def test_add_knows_what_the_same_unit_of_work_added(store: Store) -> None:
    """A key added earlier in the same unit of work exists."""
    run = sample_run()
    with store.unit_of_work() as work:
        work.runs.add([run])
        assert add(work.runs, [run, sample_run("other")]) == {run.event_id: run}


def test_adding_nothing_is_nothing(store: Store) -> None:
    """An empty sequence finds nothing and stores nothing."""
    with store.unit_of_work() as work:
        assert add(work.runs, []) == {}
        assert work.runs.count(RunFilter()) == 0


def test_add_takes_a_thousand_runs(store: Store) -> None:
    """A full batch, half of it existing, is handled like a small one."""
    runs = [sample_run(f"event-{number}") for number in range(1000)]
    with store.unit_of_work() as work:
        work.runs.add(runs[::2])
        assert add(work.runs, runs) == {run.event_id: run for run in runs[::2]}
        assert work.runs.count(RunFilter()) == 1000


@pytest.mark.parametrize("key", ["E", "\u00e9", "e\u0301", "\U0001f600", "a b", "a\n", "'; --"])
def test_keys_are_compared_character_by_character(store: Store, key: str) -> None:
    """Keys that differ in case, Unicode composition or whitespace are distinct."""
    near = {key, key.swapcase(), f"{key} ", f" {key}", normalize("NFC", key), normalize("NFD", key)}
    keep(store, *map(sample_run, sorted(near)))
    assert read(store, lambda runs: runs.get(EventId(key))) == sample_run(key)
    assert read(store, lambda runs: runs.count(RunFilter())) == len(near)


def test_get_of_an_unknown_key_is_none(store: Store) -> None:
    """A key that was never added finds no run."""
    keep(store, sample_run())
    assert read(store, lambda runs: runs.get(EventId("unknown"))) is None


@pytest.mark.parametrize("text", ["a\0", "\ud800", "\0"])
def test_a_text_that_no_run_can_have_finds_nothing(store: Store, text: str) -> None:
    """Queries with NUL or a lone surrogate find nothing, like any other text."""
    keep(store, sample_run())
    with store.reader() as runs:
        assert runs.get(EventId(text)) is None
        assert runs.newest(text) is None


def test_names_of_any_length_are_told_apart(store: Store) -> None:
    """Names that are too long for an index and differ only in their last character are distinct."""
    long = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(5000))  # hard to compress
    names = [Text(long + end) for end in "ab"]
    texts = ("run_id", "agent_name", "job_type", "parent_run_id", "product")
    runs = [sample_run(name[-1], **dict.fromkeys(texts, name)) for name in names]
    keep(store, *runs)
    for run, name in zip(runs, names, strict=True):
        assert read(store, lambda kept, name=name: kept.newest(name)) == run  # type: ignore[misc]
        for field in texts:
            which = RunFilter(**{field: name})  # type: ignore[arg-type]
            assert read(store, lambda kept, which=which: kept.page(which, PageRequest()).runs) == (run,)  # type: ignore[misc]
            assert read(store, lambda kept, which=which: kept.count(which)) == 1  # type: ignore[misc]
    assert read(store, agent_names) == tuple(names)


def test_replace_puts_the_run_in_place_of_the_kept_one(store: Store) -> None:
    """After ``replace``, ``get`` returns the new run, and nothing else has changed."""
    keep(store, sample_run("a"), sample_run("b"))
    changed = sample_run("a", status=Status.FAILURE, error_summary="no", updated_at=at(9))
    with store.unit_of_work() as work:
        work.runs.replace(changed)
        work.commit()
    assert read(store, everything) == (sample_run("b"), changed)


def test_replace_keeps_the_order_of_arrival(store: Store) -> None:
    """A replaced run keeps its position among runs with equal starts."""
    keep(store, sample_run("a"), sample_run("b"), sample_run("c"))
    with store.unit_of_work() as work:
        work.runs.replace(sample_run("b", output_summary="new"))
        work.commit()
    assert [run.event_id for run in read(store, everything)] == ["c", "b", "a"]


def test_newest_is_the_one_that_started_last(store: Store) -> None:
    """The start decides, not the arrival."""
    keep(store, sample_run("a", start_time=at(1)), sample_run("b", start_time=at(3)), sample_run("c", start_time=at(2)))
    assert read(store, lambda runs: runs.newest("launch-1")) == sample_run("b", start_time=at(3))


def test_newest_of_equal_starts_is_the_one_that_arrived_last(store: Store) -> None:
    """Among equal starts, the last arrival is the newest."""
    keep(store, sample_run("b"), sample_run("c"), sample_run("a"))
    assert read(store, lambda runs: runs.newest("launch-1")) == sample_run("a")


def test_newest_looks_at_one_name_only(store: Store) -> None:
    """Other names are ignored, and an unknown name has no newest run."""
    keep(store, sample_run("a", run_id="one"), sample_run("b", run_id="two", start_time=at(9)))
    assert read(store, lambda runs: runs.newest("one")) == sample_run("a", run_id="one")
    assert read(store, lambda runs: runs.newest("none")) is None


def test_what_a_batch_adds_arrives_in_its_order(store: Store) -> None:
    """Runs of one call arrive in the order of the sequence."""
    with store.unit_of_work() as work:
        work.runs.add([sample_run(key) for key in "dacb"])
        assert [run.event_id for run in everything(work.runs)] == list("bcad")


def test_page_leaves_the_total_out(store: Store) -> None:
    """A page has no ``total``."""
    keep(store, sample_run())
    assert read(store, lambda runs: runs.page(RunFilter(), PageRequest(counted=True))).total is None


@EXAMPLES
@given(run=kept_runs())
def test_every_field_comes_back_equal(used_store: Store, run: Run) -> None:
    """Runs are read exactly as added: any text, any count, any instant, any JSON text."""
    run = attrs.evolve(run, event_id=EventId(str(uuid4())))
    keep(used_store, run)
    kept = read(used_store, lambda runs: runs.get(run.event_id))
    assert kept is not None
    for field in attrs.fields(Run):
        sent, found = getattr(run, field.name), getattr(kept, field.name)
        assert (found, type(found)) == (sent, type(sent)), field.name


@EXAMPLES
@given(first=kept_runs(), second=kept_runs())
def test_every_field_that_may_change_can_be_replaced(empty_store: Store, first: Run, second: Run) -> None:
    """Replaced runs are read exactly, field by field, for any two runs that agree in the immutable fields."""
    fixed = {name: getattr(first, name) for name in (*FIXED_FIELDS, "created_at")}
    second = attrs.evolve(second, **fixed)
    with empty_store.unit_of_work() as work:
        work.runs.add([first])
        work.runs.replace(second)
        assert work.runs.get(first.event_id) == second


@EXAMPLES
@given(run=kept_runs())
def test_any_key_finds_its_run(empty_store: Store, run: Run) -> None:
    """Any storable text is a key, and a name, under which the run is found."""
    with empty_store.unit_of_work() as work:
        work.runs.add([run])
        assert work.runs.get(run.event_id) == run
        assert work.runs.newest(run.run_id) is not None
        assert add(work.runs, [run]) == {run.event_id: run}


@EXAMPLES
@given(names=st.lists(st.tuples(texts(max_size=3), texts(max_size=3)), max_size=8))
def test_metadata_is_distinct_and_sorted_by_code_point(empty_store: Store, names: list[tuple[str, str]]) -> None:
    """Each name occurs once, in code point order."""
    runs = [sample_run(f"event-{n}", agent_name=agent, job_type=job) for n, (agent, job) in enumerate(names)]
    with empty_store.unit_of_work() as work:
        work.runs.add(runs)
        agents = work.runs.names(NameField.AGENT_NAME, NamesRequest())
        jobs = work.runs.names(NameField.JOB_TYPE, NamesRequest())
    assert list(agents.names) == sorted({agent for agent, _ in names}, key=_code_points)
    assert list(jobs.names) == sorted({job for _, job in names}, key=_code_points)


def test_metadata_sorts_beyond_the_basic_plane_last(store: Store) -> None:
    """U+10000 follows U+FFFD, unlike in UTF-16 order."""
    names = ["\U00010000", "\ufffd", "", "\u00e9", "z", "Z", "\ud7ff"]
    keep(store, *(sample_run(f"event-{n}", agent_name=name) for n, name in enumerate(names)))
    found = read(store, agent_names)
    assert found == ("", "Z", "z", "\u00e9", "\ud7ff", "\ufffd", "\U00010000")


@pytest.mark.parametrize("field", list(NameField))
def test_names_come_in_parts(store: Store, field: NameField) -> None:
    """A part ends at its limit, or before its names exceed its bytes, and has the total number of names."""
    names = [letter + "\u00e9" * 500 for letter in "abcde"]
    keep(store, *(sample_run(f"event-{n}", **{field: name}) for n, name in enumerate([*names, *names])))
    for request, expected in (
        (NamesRequest(), names),
        (NamesRequest(limit=2), names[:2]),
        (NamesRequest(limit=2, offset=4), names[4:]),
        (NamesRequest(offset=9), []),
        (NamesRequest(max_text_bytes=1), names[:1]),
        (NamesRequest(max_text_bytes=2 * 1001 - 1), names[:1]),
        (NamesRequest(max_text_bytes=2 * 1001, offset=1), names[1:3]),
    ):
        found = read(store, lambda runs, request=request: runs.names(field, request))  # type: ignore[misc]
        assert (list(found.names), found.total) == (expected, 5)


@pytest.mark.parametrize("oldest_first", [False, True])
def test_a_page_ends_before_its_texts_are_too_large(store: Store, *, oldest_first: bool) -> None:
    """Size is counted in UTF-8 bytes, the first run always fits, and the cursor leads to the rest."""
    sizes = [10, 3000, 10, 500, 500, 500, 5000]
    runs = [
        sample_run(f"event-{n}", start_time=at(n), error_details=Text("\u00e9" * (size // 2)))
        for n, size in enumerate(sizes)
    ]
    keep(store, *runs)
    request = PageRequest(oldest_first=oldest_first, max_text_bytes=1500)
    pages: list[list[str]] = []
    while True:
        page = read(store, lambda kept, request=request: kept.page(RunFilter(), request))  # type: ignore[misc]
        pages.append([run.event_id for run in page.runs])
        if page.next_cursor is None:
            break
        request = attrs.evolve(request, cursor=page.next_cursor)
    expected = [["6"], ["5", "4"], ["3", "2"], ["1"], ["0"]]
    if oldest_first:
        expected = [["0"], ["1"], ["2", "3", "4"], ["5"], ["6"]]
    assert pages == [[f"event-{n}" for n in page] for page in expected]


def test_an_empty_store_has_no_names(store: Store) -> None:
    """Without runs there is no metadata, no page, no count."""
    assert read(store, agent_names) == ()
    page = read(store, lambda runs: runs.page(RunFilter(), PageRequest()))
    assert (page.runs, page.next_cursor) == ((), None)
    assert read(store, lambda runs: runs.count(RunFilter())) == 0


def _code_points(text: str) -> list[int]:
    return list(map(ord, text))


@st.composite
def _lists(draw: st.DrawFn) -> list[Run]:
    """Generate runs with few distinct starts and names."""
    few = st.sampled_from(["", "a", "b"])
    return [
        sample_run(
            f"event-{number}",
            start_time=at(draw(st.integers(0, 3))),
            **{name: draw(few) for name in ("run_id", "agent_name", "job_type")},
            **{name: draw(st.none() | few) for name in ("parent_run_id", "product")},
            status=draw(st.sampled_from([Status.RUNNING, Status.FAILURE])),
        )
        for number in range(draw(st.integers(0, 12)))
    ]


def _filters() -> st.SearchStrategy[RunFilter]:
    """Generate filters with one part in three given."""
    few = st.one_of(st.none(), st.none(), st.sampled_from(["", "a", "b"]).map(Text))
    time = st.one_of(st.none(), st.none(), st.integers(0, 3).map(lambda second: Timestamp(at(second))))
    return st.builds(
        RunFilter,
        event_id=st.one_of(st.none(), st.none(), st.just(EventId("event-1"))),
        status=st.one_of(st.none(), st.none(), st.just(Status.FAILURE), st.just(frozenset(Status))),
        roots=st.sampled_from([False, False, True]),
        q=st.one_of(st.none(), st.none(), st.sampled_from(["", "A", "ab"])),
        **dict.fromkeys(("job_type", "agent_name", "run_id", "parent_run_id", "product"), few),
        **dict.fromkeys(("start_time_from", "start_time_to"), time),
    )


def _matches(run: Run, which: RunFilter) -> bool:
    """Return whether a run matches a filter, spelled out."""
    parts = attrs.asdict(which, recurse=False)
    earliest, latest = parts.pop("start_time_from"), parts.pop("start_time_to")
    statuses, text = parts.pop("status"), parts.pop("q")
    return (
        not (parts.pop("roots") and run.parent_run_id is not None)
        and (statuses is None or run.status in statuses)
        # Of the fields that are searched, these runs have only this one.
        and (text is None or text.lower() in run.run_id)
        and all(value is None or getattr(run, name) == value for name, value in parts.items())
        and (earliest is None or earliest <= run.start_time)
        and (latest is None or run.start_time <= latest)
    )


def _newest_first(runs: list[Run]) -> list[Run]:
    """Return runs in list order, given their order of arrival."""
    arrivals = {run.event_id: number for number, run in enumerate(runs)}
    return sorted(runs, key=lambda run: (run.start_time, arrivals[run.event_id]), reverse=True)


def _walk(runs: RunReader, which: RunFilter, limit: int, *, oldest_first: bool = False) -> Iterator[tuple[Run, ...]]:
    """Yield all pages, each from the cursor of the one before."""
    cursor: Cursor | None = None
    while True:
        page = runs.page(which, PageRequest(limit=limit, cursor=cursor, oldest_first=oldest_first))
        yield page.runs
        cursor = page.next_cursor
        if cursor is None:
            return


PAGES = st.builds(
    PageRequest, limit=st.integers(1, 13), offset=st.integers(0, 13), oldest_first=st.booleans(), counted=st.booleans()
)


@EXAMPLES
@given(kept=_lists(), which=_filters(), request=PAGES)
def test_page_is_a_slice_of_the_matching_runs(
    empty_store: Store, kept: list[Run], which: RunFilter, request: PageRequest
) -> None:
    """A page has exactly the matching runs, newest start and last arrival first, and a cursor unless at the end.

    Oldest first reverses the list.
    """
    expected = [run for run in _newest_first(kept) if _matches(run, which)]
    if request.oldest_first:
        expected.reverse()
    with empty_store.unit_of_work() as work:
        work.runs.add(kept)
        page = work.runs.page(which, request)
        assert work.runs.count(which) == len(expected)
    end = request.offset + request.limit
    assert list(page.runs) == expected[request.offset : end]
    assert (page.next_cursor is None) == (end >= len(expected) or not page.runs)


@EXAMPLES
@given(kept=_lists(), which=_filters(), limit=st.integers(1, 5), oldest_first=st.booleans())
def test_cursors_walk_through_every_run_once(
    empty_store: Store, kept: list[Run], which: RunFilter, *, limit: int, oldest_first: bool
) -> None:
    """The pages contain each matching run once, in order, and none is empty unless nothing matches."""
    expected = [run for run in _newest_first(kept) if _matches(run, which)]
    if oldest_first:
        expected.reverse()
    with empty_store.unit_of_work() as work:
        work.runs.add(kept)
        pages = list(_walk(work.runs, which, limit, oldest_first=oldest_first))
    assert [run for page in pages for run in page] == expected
    assert all(pages) or pages == [()]


@EXAMPLES
@given(kept=_lists(), late=st.lists(st.integers(0, 3), max_size=6), limit=st.integers(1, 4))
def test_runs_that_arrive_between_pages_disturb_nothing(
    empty_store: Store, kept: list[Run], late: list[int], limit: int
) -> None:
    """Runs from before paging are still seen once and in order; runs that arrive before the cursor are not."""
    new = iter([sample_run(f"late-{number}", start_time=at(second)) for number, second in enumerate(late)])
    seen: list[Run] = []
    with empty_store.unit_of_work() as work:
        work.runs.add(kept)
        for page in _walk(work.runs, RunFilter(), limit):
            seen += page
            work.runs.add(list(filter(None, [next(new, None)])))
    assert [run for run in seen if run in kept] == _newest_first(kept)
    assert len(seen) == len(set(seen))
    assert [run.start_time for run in seen] == sorted((run.start_time for run in seen), reverse=True)


def test_offset_counts_on_from_the_cursor(store: Store) -> None:
    """With a cursor, the page begins after its run, and the offset counts from there."""
    keep(store, *(sample_run(key) for key in "abcde"))
    first = read(store, lambda runs: runs.page(RunFilter(), PageRequest(limit=1)))
    request = PageRequest(limit=2, offset=1, cursor=first.next_cursor)
    page = read(store, lambda runs: runs.page(RunFilter(), request))
    assert [run.event_id for run in page.runs] == ["c", "b"]


@pytest.mark.parametrize("limit", [2, 4])
def test_the_last_full_page_has_no_cursor(store: Store, limit: int) -> None:
    """A full page that ends with the last run has no cursor."""
    keep(store, *(sample_run(key) for key in "abcd"))
    pages = read(store, lambda runs: list(_walk(runs, RunFilter(), limit)))
    assert [len(page) for page in pages] == [limit] * (4 // limit)
