"""Looking at many runs: every store finds what the one in memory finds, whatever is stored."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters import search_slices
from adapters.memory import MemoryStore
from adapters.memory.run_repository import Marks, MemoryRunRepository
from core.model.listing import SEARCHED_FIELDS, PageRequest, RunFilter, RunPage, SummaryPage
from core.model.run import Run, Status, Text
from core.model.statistics import (
    MAX_FACET_BYTES,
    FacetField,
    Facets,
    FacetsRequest,
    FacetValue,
    Statistics,
    StatisticsRequest,
)
from core.model.summary import MAX_ERROR_CHARACTERS, MAX_METRIC, RunSummary
from core.model.tree import Room
from core.ports.run_repository import RunReader
from core.ports.store import Store
from core.use_cases.query import rest_of
from tests.contract.samples import at, keep, read, sample_run

PROPERTY = settings(max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])

T = TypeVar("T")

NAMES = ("a", "b", "c", "Ab", "é", "a" * 300, "a" * 299 + "b")
TEXTS = st.none() | st.sampled_from(["", "a", "A%b_", "É stays", "é", "\U0001f600", "x" * (MAX_ERROR_CHARACTERS + 1)])
STARTS = (
    *(at(second) for second in (0, 1, 59, 60, 61, 3599)),
    "2026-01-31T12:00:00.000001Z",
    "0001-01-01T00:00:00.000000Z",
    "1969-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59.999999Z",
)
METRICS = (
    None,
    "{}",
    '{"cost_usd":0.5}',
    '{"cost_usd":1,"total_tokens":7}',
    '{"cost_usd":null,"total_tokens":true}',
    '{"a\\u0000b":"\\\\u0000","cost_usd":2.25}',
    '{"cost_usd":"3","own.metric-1":-4}',
    '{"cost_usd":{"cost_usd":1},"total_tokens":[1]}',
    f'{{"cost_usd":{MAX_METRIC},"total_tokens":-{MAX_METRIC}}}',
    f'{{"cost_usd":{MAX_METRIC + 1},"total_tokens":{10**400}}}',
    '{"cost_usd":1e300}',
)


@st.composite
def stored_runs(draw: st.DrawFn) -> list[Run]:
    """Generate runs with few names, so that names repeat and parents form cycles."""
    fields = {
        "run_id": st.sampled_from(NAMES),
        "parent_run_id": st.none() | st.sampled_from(NAMES),
        "start_time": st.sampled_from(STARTS),
        "status": st.sampled_from(Status),
        "agent_name": st.sampled_from(["x", "y", "z" * 70]),
        "product": st.none() | st.sampled_from(["p", "P", "é"]),
        "git_repo": st.none() | st.sampled_from(["r", "s"]),
        "item_name": TEXTS,
        "error_summary": TEXTS,
        "output_summary": TEXTS,
        "duration_ms": st.none() | st.sampled_from([0, 1, 2, 5, 2**63 - 1]),
        "metrics_json": st.sampled_from(METRICS),
        "commit_hash": st.none() | st.sampled_from(["abcdef0", "ABCDEF0"]),
    }
    drawn = draw(st.lists(st.fixed_dictionaries(fields), max_size=12))
    return [sample_run(f"event-{number}", **values) for number, values in enumerate(drawn)]


@st.composite
def filters(draw: st.DrawFn) -> RunFilter:
    """Generate filters, most of them with few parts."""
    parts: Mapping[str, st.SearchStrategy[Any]] = {
        "event_id": st.sampled_from(["event-0", "event-1", "other"]),
        "status": st.frozensets(st.sampled_from(Status), min_size=1, max_size=3),
        "agent_name": st.sampled_from(["x", "z" * 70]),
        "run_id": st.sampled_from(NAMES),
        "parent_run_id": st.sampled_from(NAMES),
        "product": st.sampled_from(["p", "é"]),
        "start_time_from": st.sampled_from(STARTS),
        "start_time_to": st.sampled_from(STARTS),
        "roots": st.booleans(),
        "q": st.sampled_from(["", "A", "b", "É", "é", "%", "_", "\U0001f600", "\0", "CDEF"]),
    }
    names = draw(st.lists(st.sampled_from(sorted(parts)), unique=True, max_size=3))
    return RunFilter(**{name: draw(parts[name]) for name in names})


SEARCHES = st.builds(
    lambda which, text: attrs.evolve(which, q=Text(text)), filters(), st.sampled_from(["", "A", "nowhere"])
)


@attrs.define
class Clock:
    """A monotonic clock that advances each time it is looked at."""

    step: float = 0
    now: float = 0

    def monotonic(self) -> float:
        """Return the time."""
        self.now += self.step
        return self.now


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Let searches examine few runs at a time, and return the clock that they look at."""
    clock = Clock()
    monkeypatch.setattr(search_slices, "FIRST_SLICE", 1)
    monkeypatch.setattr(search_slices, "MAX_SLICE", 3)
    monkeypatch.setattr(search_slices, "time", clock)
    return clock


REQUESTS = st.builds(
    PageRequest,
    limit=st.integers(1, 5),
    offset=st.integers(0, 2),
    oldest_first=st.booleans(),
    counted=st.just(value=False),
    max_text_bytes=st.sampled_from([1, 300, 10**6]),
    max_examined=st.none() | st.integers(1, 6),
)


@contextmanager
def both(store: Store, stored: Sequence[Run]) -> Iterator[tuple[RunReader, RunReader]]:
    """Yield the runs in memory and in the store, where they are never committed."""
    memory = MemoryRunRepository({}, Marks())
    memory.add(stored)
    with store.unit_of_work() as work:
        for run in stored:
            work.runs.add([run])
        yield memory, work.runs


def pages(runs: RunReader, which: RunFilter, request: PageRequest) -> list[tuple[Any, ...]]:
    """Return each page until the last without its cursors, and whether it is the last."""
    found = []
    for _ in range(30):
        page = runs.page(which, request)
        found.append((*short(page), page.next_cursor is None))
        if page.next_cursor is None:
            return found
        request = attrs.evolve(request, cursor=page.next_cursor, offset=0)
    raise AssertionError("the pages do not end")


def short(page: RunPage | SummaryPage) -> tuple[Any, ...]:
    """Return a page with the starts of its cursors, whose arrival numbers are the store's own."""
    return page.runs, *(cursor and cursor.start_time for cursor in (page.next_cursor, page.last_examined))


@PROPERTY
@given(stored=stored_runs(), which=filters(), request_=REQUESTS)
def test_pages_are_those_of_memory(
    empty_store: Store, stored: list[Run], which: RunFilter, request_: PageRequest
) -> None:
    """Pages, the number of matching runs, and summaries are the same for any filter and limit."""
    with both(empty_store, stored) as (memory, runs):
        assert pages(runs, which, request_) == pages(memory, which, request_)
        assert short(runs.summaries(which, request_)) == short(memory.summaries(which, request_))
        assert runs.count(which) == memory.count(which)


@PROPERTY
@given(stored=stored_runs(), which=filters(), request_=REQUESTS)
@pytest.mark.usefixtures("small_slices")
def test_slices_make_the_same_pages(
    empty_store: Store, stored: list[Run], which: RunFilter, request_: PageRequest
) -> None:
    """A search that looks at the clock now and then finds the same, as long as there is time."""
    timed = attrs.evolve(request_, max_seconds=1)
    with both(empty_store, stored) as (memory, runs):
        assert pages(runs, which, timed) == pages(memory, which, request_)


@PROPERTY
@given(stored=stored_runs(), which=SEARCHES, request_=REQUESTS)
def test_a_search_that_runs_out_of_time_goes_on_behind_it(
    empty_store: Store, small_slices: Clock, stored: list[Run], which: RunFilter, request_: PageRequest
) -> None:
    """Every page ends after a slice, where the next one begins: together they have all runs that match."""
    small_slices.step = 2
    timed = attrs.evolve(request_, offset=0, max_seconds=1)
    with both(empty_store, stored) as (memory, runs):
        found = [run for page in pages(runs, which, timed) for run in page[0]]
        assert found == [run for page in pages(memory, which, timed) for run in page[0]]


def test_a_search_ends_its_page_when_time_is_over(store: Store, small_slices: Clock) -> None:
    """The cursor leads behind the runs examined until then, whether any of them matches or not."""
    keep(store, *(sample_run(f"{number}", start_time=at(number)) for number in range(8)))
    search, asked = RunFilter(q=Text("nowhere")), PageRequest(max_seconds=3)
    small_slices.step = 2
    page = read(store, lambda runs: runs.page(search, asked))
    # Memory is fast enough for all of its runs. The others look at the clock after one run and after two more.
    ends = {cursor and cursor.start_time for cursor in (page.next_cursor, page.last_examined)}
    assert (page.runs, ends) == ((), {None if isinstance(store, MemoryStore) else at(5)})


@PROPERTY
@given(stored=stored_runs(), which=filters(), request_=REQUESTS)
def test_parts_end_where_their_page_does(
    empty_store: Store, stored: list[Run], which: RunFilter, request_: PageRequest
) -> None:
    """The parts of a page have its runs, and together examine what it examines."""
    with both(empty_store, stored) as (_, runs):
        whole = runs.summaries(which, attrs.evolve(request_, max_text_bytes=10**9))
        found: list[RunSummary] = []
        rest: PageRequest | None = attrs.evolve(request_, max_text_bytes=1)
        while rest is not None:
            part = runs.summaries(which, rest)
            found += part.runs
            rest = rest_of(rest, part)
        assert attrs.evolve(part, runs=tuple(found)) == whole


@pytest.mark.parametrize("field", SEARCHED_FIELDS)
def test_every_field_that_is_searched_is_found_in_either_case(store: Store, field: str) -> None:
    """Any part of the text matches, whatever the case of its ASCII letters."""
    keep(store, sample_run("a", **{"run_id": "0", field: "ABCdef0"}), sample_run("b", agent_name="ABCdef0"))
    for text in ("abcDEF0", "cD", "f0"):
        assert searched(store, text) == ["a"]
    assert searched(store, "abcdef00") == []


def test_a_search_takes_other_characters_as_they_are(store: Store) -> None:
    """No character is a wildcard, and letters beyond ASCII have one case."""
    keep(store, sample_run("a", item_name="É_"), sample_run("b", item_name="é%"))
    found = [searched(store, text) for text in ("É", "é", "%", "_", "")]
    assert found == [["a"], ["b"], ["b"], ["a"], ["b", "a"]]


def searched(store: Store, text: str) -> list[str]:
    """Return the keys of the runs that a search finds."""
    page = read(store, lambda runs: runs.page(RunFilter(q=Text(text)), PageRequest()))
    return [run.event_id for run in page.runs]


@PROPERTY
@given(
    stored=stored_runs(),
    parents=st.lists(st.sampled_from(NAMES), unique=True),
    room=st.builds(Room, st.integers(0, 13), st.sampled_from([0, 10, 1000, 10**6])),
)
def test_children_are_those_of_memory(empty_store: Store, stored: list[Run], parents: list[str], room: Room) -> None:
    """The children of any names come in the same order and end at the same place."""
    with both(empty_store, stored) as (memory, runs):
        for read in (lambda reader: reader.children(parents, room), lambda reader: reader.outlines(parents, room)):
            assert read(runs) == read(memory)


@PROPERTY
@given(
    stored=stored_runs(),
    which=filters(),
    request_=st.builds(
        StatisticsRequest,
        bucket_seconds=st.sampled_from([1, 7, 60, 86_400, 604_800]),
        metrics=st.lists(st.sampled_from(["cost_usd", "total_tokens", "own.metric-1"]), unique=True),
        max_runs=st.integers(1, 12),
        max_buckets=st.integers(1, 4),
    ),
)
def test_statistics_are_those_of_memory(
    empty_store: Store, stored: list[Run], which: RunFilter, request_: StatisticsRequest
) -> None:
    """Counts, percentiles and sums are the same, and so is how far they go."""
    with both(empty_store, stored) as (memory, runs):
        found, expected = runs.statistics(which, request_), memory.statistics(which, request_)
    assert sums(found) == pytest.approx(sums(expected), rel=1e-12)
    assert without_sums(found) == without_sums(expected)


@PROPERTY
@given(
    stored=stored_runs(),
    which=filters(),
    request_=st.builds(
        FacetsRequest,
        fields=st.lists(st.sampled_from(FacetField), unique=True, min_size=1),
        max_runs=st.integers(1, 12),
        max_values=st.integers(1, 4),
    ),
)
def test_facets_are_those_of_memory(
    empty_store: Store, stored: list[Run], which: RunFilter, request_: FacetsRequest
) -> None:
    """The most frequent values are the same, in the same order."""
    with both(empty_store, stored) as (memory, runs):
        assert runs.facets(which, request_) == memory.facets(which, request_)


def test_facets_count_no_huge_values(store: Store) -> None:
    """The longest that counts has 20 KiB of UTF-8; a longer one takes no memory, however many runs have it."""
    longest, longer = "é" * (MAX_FACET_BYTES // 2), "é" * (MAX_FACET_BYTES // 2) + "x"
    keep(store, *(sample_run(f"{place}", product=text) for place, text in enumerate((longest, longer, longer, "p"))))
    request = FacetsRequest(fields=[FacetField.PRODUCT], max_runs=10, max_values=5)
    found = read(store, lambda runs: runs.facets(RunFilter(), request))
    assert found == Facets({FacetField.PRODUCT: (FacetValue("p", 1), FacetValue(longest, 1))}, 4, complete=True)


def sums(found: Statistics) -> dict[tuple[str, str], float]:
    """Return the sums of metrics by bucket and name."""
    return {(bucket.start, name): total for bucket in found.buckets for name, total in bucket.metrics.items()}


def without_sums(found: Statistics) -> Statistics:
    """Return the rest of statistics."""
    buckets = tuple(attrs.evolve(bucket, metrics={}, runs=dict(bucket.runs)) for bucket in found.buckets)
    return attrs.evolve(found, buckets=buckets)
