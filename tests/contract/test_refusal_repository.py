"""Every sentence of ``core.ports.refusal_repository``, for every store."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.refusal import MAX_KEPT_BYTES, Refusal, RefusalFilter, RefusalPageRequest, count_refusal_bytes
from core.model.run import Text, Timestamp
from core.model.validation_error import ErrorKind, ValidationError
from core.ports.refusal_repository import RefusalRepository
from core.ports.store import Store
from tests.contract.samples import at

KEEP = 10
BIG = "x" * 65_000
NAMES = st.none() | st.sampled_from(["start_time", "status", "end_time"])
ERRORS = st.builds(
    ValidationError, NAMES, st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(ErrorKind)
)


def refusal(number: int = 1, **fields: Any) -> Refusal:
    """Return a refusal with the given fields."""
    given_fields = {
        "received_at": Timestamp(at(number)),
        "event_id": f"event-{number}",
        "run_id": "launch-1",
        "errors": (ValidationError("start_time", "is bad"),),
        "body": f'{{"event_id": "event-{number}"}}',
    }
    return Refusal(**{**given_fields, **fields})


def listed(repository: RefusalRepository, limit: int = 1000, **which: Any) -> list[Refusal]:
    """Return all matching refusals, page by page, newest first."""
    found: list[Refusal] = []
    cursor = None
    while True:
        page = repository.page(RefusalFilter(**which), RefusalPageRequest(limit=limit, cursor=cursor))
        assert len(page.refusals) <= limit
        found += page.refusals
        cursor = page.next_cursor
        if cursor is None:
            return found


def ids(refusals: Sequence[Refusal]) -> list[str | None]:
    """Return the ``event_id`` of each."""
    return [one.event_id for one in refusals]


def test_nothing_is_there_at_first(store: Store) -> None:
    """A list that was never added to is empty, and so it stays when nothing is added."""
    with closing(store.refusals(KEEP)) as repository:
        assert listed(repository) == []
        repository.add([])
        assert listed(repository) == []


@pytest.mark.parametrize(
    "kept",
    [
        refusal(event_id=None, run_id=None, errors=(ValidationError(None, "is not JSON"),), body="{"),
        refusal(run_id="ü" * 255, body="\0\t\x1b[31m \U0001f600 \u202e"),
        refusal(body=""),
        refusal(errors=()),
        refusal(errors=(ValidationError("status", "is \0 bad"), ValidationError("run_id", "is", ErrorKind.MISSING))),
    ],
)
def test_what_is_read_is_what_was_added(store: Store, kept: Refusal) -> None:
    """Field by field, whatever the texts hold."""
    with closing(store.refusals(KEEP)) as repository:
        repository.add([kept])
        assert listed(repository) == [kept]


@given(
    st.lists(
        st.builds(
            Refusal,
            st.just(Timestamp(at(0))),
            st.none() | st.sampled_from(["a", "b"]),
            st.none() | st.sampled_from(["r", "R", "%", "r "]),
            st.lists(ERRORS, max_size=3).map(tuple),
            st.text(st.characters(exclude_categories=["Cs"])),
        ),
        max_size=KEEP,
    ),
    st.none() | st.sampled_from(["r", "R", "%", "_"]),
    NAMES,
    st.integers(1, KEEP),
)
@settings(max_examples=60)
def test_pages_are_those_of_a_plain_list(
    used_store: Store, added: list[Refusal], run_id: str | None, field: str | None, limit: int
) -> None:
    """Last first, with both filters, in pages of any size; the repository holds as many as it keeps."""
    with closing(used_store.refusals(KEEP)) as repository:
        repository.add([refusal(number) for number in range(KEEP)])
        repository.add(added)
        wanted = [
            one
            for one in reversed(added)
            if run_id in (None, one.run_id) and (field is None or field in {error.field for error in one.errors})
        ]
        found = listed(repository, limit, run_id=None if run_id is None else Text(run_id), field=field)
        assert found[: len(wanted)] == wanted
        assert all(one.run_id == "launch-1" for one in found[len(wanted) :])


def test_a_field_is_found_by_its_whole_name(store: Store) -> None:
    """Not by a part of it, and in any of several errors."""
    errors = (ValidationError("start_time", "is bad"), ValidationError(None, "is bad"), ValidationError("status", "is"))
    with closing(store.refusals(KEEP)) as repository:
        repository.add([refusal(1, errors=errors), refusal(2, errors=errors[1:2])])
        found = {
            name: ids(listed(repository, field=name)) for name in ("start_time", "status", "start", "time", "stat")
        }
    assert found == {"start_time": ["event-1"], "status": ["event-1"], "start": [], "time": [], "stat": []}


def test_the_last_ones_are_kept(store: Store) -> None:
    """As many as asked for, whether they come one by one or all at once; a cursor keeps its place meanwhile."""
    with closing(store.refusals(KEEP)) as repository:
        for number in range(15):
            repository.add([refusal(number)])
        page = repository.page(RefusalFilter(), RefusalPageRequest(limit=4))
        assert ids(page.refusals) == ["event-14", "event-13", "event-12", "event-11"]
        repository.add([refusal(number) for number in range(15, 20)])
        rest = repository.page(RefusalFilter(), RefusalPageRequest(cursor=page.next_cursor))
        assert (ids(rest.refusals), rest.next_cursor) == (["event-10"], None)
        repository.add([refusal(number) for number in range(100, 150)])
        assert ids(listed(repository)) == [f"event-{number}" for number in range(149, 139, -1)]


def test_whoever_adds_sets_the_bound(store: Store) -> None:
    """Repositories of one store share what they keep; adding nothing is enough to keep less."""
    with closing(store.refusals(KEEP)) as more, closing(store.refusals(3)) as less:
        more.add([refusal(number) for number in range(KEEP)])
        assert ids(listed(less)) == ids(listed(more))
        less.add([])
        assert ids(listed(more)) == ["event-9", "event-8", "event-7"]
        more.add([refusal(20)])
        assert ids(listed(less)) == ["event-20", "event-9", "event-8", "event-7"]


def test_all_together_have_a_bound(store: Store) -> None:
    """As many are kept as fit exactly, the last ones; one more would be too much."""
    body = "x" * (64 * 1024 - count_refusal_bytes(refusal(1000, body="")))
    fitting, more = MAX_KEPT_BYTES // (64 * 1024), 40
    with closing(store.refusals(100_000)) as repository:
        for begin in range(1000, 1000 + fitting + more, 56):
            repository.add([refusal(number, body=body) for number in range(begin, begin + 56)])
        kept = listed(repository)
    assert sum(map(count_refusal_bytes, kept)) == MAX_KEPT_BYTES
    assert ids(kept) == [f"event-{number}" for number in range(1000 + fitting + more - 1, 1000 + more - 1, -1)]


def test_a_page_ends_before_it_is_too_large(store: Store) -> None:
    """The first refusal always fits, and the next page begins where this one ended."""
    with closing(store.refusals(KEEP)) as repository:
        repository.add([refusal(number, body=BIG) for number in range(4)])
        request = RefusalPageRequest(max_bytes=140_000)
        page = repository.page(RefusalFilter(), request)
        assert ids(page.refusals) == ["event-3", "event-2"]
        tiny = repository.page(RefusalFilter(), RefusalPageRequest(max_bytes=1, cursor=page.next_cursor))
        assert ids(tiny.refusals) == ["event-1"]


def test_bounds_hold_in_every_state(store: Store) -> None:
    """Whoever reads while two add never sees too many, a gap, or a different order."""
    with closing(store.refusals(KEEP)) as one, closing(store.refusals(KEEP)) as other:

        def add(repository: RefusalRepository, name: str) -> None:
            for number in range(30):
                repository.add(
                    [refusal(number, run_id=name), refusal(number, run_id=name, event_id=f"{name}-{number}")]
                )

        with ThreadPoolExecutor(2) as threads:
            adding = [threads.submit(add, repository, name) for repository, name in ((one, "a"), (other, "b"))]
            while not all(future.done() for future in adding):
                seen = listed(other)
                assert len(seen) <= KEEP
                for name in ("a", "b"):
                    times = [found.received_at for found in reversed(seen) if found.run_id == name]
                    assert all(before <= after for before, after in pairwise(times))
            for future in adding:
                future.result()
        assert len(listed(one)) == KEEP


def test_refusals_are_no_part_of_the_runs(store: Store) -> None:
    """Neither a unit of work that is undone nor one that waits has to do with them."""
    with closing(store.refusals(KEEP)) as repository:
        with store.unit_of_work():
            repository.add([refusal()])
        assert ids(listed(repository)) == ["event-1"]


def test_refusals_outlive_the_process(open_durable: Callable[[], Store]) -> None:
    """What was added is there when the store is opened again."""
    for number in (1, 2):
        with closing(open_durable()) as store, closing(store.refusals(KEEP)) as repository:
            repository.add([refusal(number)])
            assert ids(listed(repository)) == ["event-2", "event-1"][2 - number :]
