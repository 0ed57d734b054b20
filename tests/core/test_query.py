"""The list of runs, read by and by."""

import pytest

from adapters.memory import MemoryStore
from core.batch import Limits
from core.errors import InvalidQueryError
from core.listing import PageRequest, RunFilter
from core.query import SLICE_RUNS, list_runs
from core.run import Text
from tests.contract.samples import keep, sample_run

COUNT = SLICE_RUNS * 5 // 2


@pytest.fixture
def store() -> MemoryStore:
    """A store with more runs than are read at a time; each has some thousand characters."""
    store = MemoryStore()
    keep(store, *(sample_run(f"event-{number:03}", input_summary=Text("x" * 1000)) for number in range(COUNT)))
    return store


@pytest.mark.parametrize("limit", [1, SLICE_RUNS, SLICE_RUNS + 1, COUNT - 1, COUNT, COUNT + 1])
@pytest.mark.parametrize("offset", [0, SLICE_RUNS + 7])
def test_page_is_the_same_however_it_is_read(store: MemoryStore, limit: int, offset: int) -> None:
    """A page has the runs, the end and the number that one look at the store gives."""
    request = PageRequest(limit=limit, offset=offset)
    with store.reader() as runs:
        page, whole = list_runs(RunFilter(), request, Limits(), runs), runs.page(RunFilter(), request)
    assert (page.runs, page.next_cursor, page.total) == (whole.runs, whole.next_cursor, COUNT)
    assert len(page.runs) == min(limit, COUNT - offset)


def test_page_that_is_too_large_is_refused(store: MemoryStore) -> None:
    """Runs that are too large together are not cut off in silence; the error names the limit, and fewer are given."""
    limits = Limits(max_answer_characters=200_000)
    with store.reader() as runs:
        assert len(list_runs(RunFilter(), PageRequest(limit=150), limits, runs).runs) == 150
        with pytest.raises(InvalidQueryError, match=r"limit is too high: .* 200000 characters"):
            list_runs(RunFilter(), PageRequest(limit=220), limits, runs)
