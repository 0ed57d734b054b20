"""The list of runs, read in parts, and the names in use."""

from itertools import pairwise

import attrs
import pytest

from adapters.memory import MemoryStore
from core.errors import InvalidQueryError
from core.model.limits import Limits
from core.model.listing import MAX_PART_BYTES, MetadataRequest, PageRequest, RunFilter
from core.model.run import Text
from core.use_cases.query import list_part, list_runs, read_metadata, rest_of
from tests.contract.samples import keep, read, sample_run

TEXT_BYTES = 10_000
PART_RUNS = MAX_PART_BYTES // TEXT_BYTES
COUNT = PART_RUNS * 5 // 2


@pytest.fixture
def store() -> MemoryStore:
    """Return a store with more text than is read at a time."""
    store = MemoryStore()
    keep(store, *(sample_run(f"event-{number:03}", input_summary=Text("x" * TEXT_BYTES)) for number in range(COUNT)))
    return store


@pytest.mark.parametrize("limit", [1, PART_RUNS, PART_RUNS + 1, COUNT - 1, COUNT, COUNT + 1])
@pytest.mark.parametrize("offset", [0, PART_RUNS + 7])
def test_page_is_the_same_however_it_is_read(store: MemoryStore, limit: int, offset: int) -> None:
    """A page equals the one read from the store in a single call."""
    request = PageRequest(limit=limit, offset=offset)
    whole_request = PageRequest(limit=limit, offset=offset, max_text_bytes=10**9)
    with store.reader() as runs:
        page, whole = list_runs(RunFilter(), request, Limits(), runs), runs.page(RunFilter(), whole_request)
    assert (page.runs, page.next_cursor, page.total) == (whole.runs, whole.next_cursor, COUNT)
    assert len(page.runs) == min(limit, COUNT - offset)


def test_parts_make_up_a_page(store: MemoryStore) -> None:
    """Each part begins where the previous one ended, only the first is counted, and the last completes the page."""
    rest: PageRequest | None = PageRequest(limit=COUNT - 1)
    totals, found = [], []
    while rest is not None:
        part = read(store, lambda runs, rest=rest: list_part(RunFilter(), rest, runs))  # type: ignore[misc]
        totals.append(part.total)
        found += part.runs
        rest = rest_of(rest, part)
    assert totals == [COUNT, None, None]
    assert [run.event_id for run in found] == [f"event-{number:03}" for number in range(COUNT - 1, 0, -1)]
    assert part.next_cursor is not None


def test_the_end_of_a_search_is_found_once(store: MemoryStore) -> None:
    """The parts of a page of a search end at the place that the first one found, and no further one looks for it."""
    which, asked = RunFilter(q=Text("x")), PageRequest(limit=COUNT, max_examined=COUNT - 1)
    with store.reader() as runs:
        part = list_part(which, attrs.evolve(asked, counted=False), runs)
        rest = rest_of(asked, part)
        end = runs.page(RunFilter(), PageRequest(limit=COUNT - 1, max_text_bytes=10**9)).next_cursor
        assert rest is not None
        assert (rest.max_examined, rest.last_examined) == (None, end)
        whole = list_runs(which, attrs.evolve(asked, counted=False), Limits(max_search_runs=COUNT - 1), runs)
    assert (len(whole.runs), whole.next_cursor) == (COUNT - 1, end)


def test_a_search_skips_no_runs(store: MemoryStore) -> None:
    """An offset in a search is an invalid query in a process, too."""
    which, request = RunFilter(q=Text("x")), PageRequest(offset=1)
    with store.reader() as runs, pytest.raises(InvalidQueryError, match="offset cannot be combined with q"):
        list_runs(which, request, Limits(), runs)


def test_page_that_is_too_large_is_refused(store: MemoryStore) -> None:
    """Runs that are too large together raise an error that names the limit; fewer are returned."""
    limits = Limits(max_response_bytes=2_000_000)
    with store.reader() as runs:
        assert len(list_runs(RunFilter(), PageRequest(limit=150), limits, runs).runs) == 150
        with pytest.raises(InvalidQueryError, match=r"limit is too high: .* 2000000 bytes"):
            list_runs(RunFilter(), PageRequest(limit=220), limits, runs)


def test_metadata_in_parts_names_everything_once() -> None:
    """The parts together contain every name once, and each has the total numbers."""
    store = MemoryStore()
    names = [f"{number:03}" for number in range(25)]
    keep(store, *(sample_run(name, agent_name=name, job_type=name[:2]) for name in names))
    rest: MetadataRequest | None = MetadataRequest(limit=10)
    agents, jobs = [], []
    while rest is not None:
        part = read(store, lambda runs, rest=rest: read_metadata(rest, runs))  # type: ignore[misc]
        agents += part.agent_names.names
        jobs += part.job_types.names
        assert (part.agent_names.total, part.job_types.total) == (25, 3)
        rest = part.next_part
    assert (agents, jobs) == (names, ["00", "01", "02"])
    assert all(first < second for first, second in pairwise(agents))
