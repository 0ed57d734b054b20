"""Pages of the list in the SQLite store: their cost depends neither on how many runs match nor on their position."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest
from hypothesis import given

from adapters.sqlite import SqliteStore
from adapters.sqlite.connection import open_reader
from adapters.sqlite.keys import event_hash
from adapters.sqlite.run_repository import SqliteRunRepository
from adapters.sqlite.schema import start_of
from core.errors import StoreTimeoutError
from core.model.limits import Limits
from core.model.listing import Cursor, PageRequest, RunFilter
from core.model.run import Run, Text, Timestamp
from core.model.statistics import FacetField, FacetsRequest, StatisticsRequest
from core.ports.run_repository import RunReader
from tests.adapters.sqlite.test_keys import collide, hurry
from tests.contract.samples import at, sample_run
from tests.properties.strategies import kept_timestamps

NAMES = {"run_id": Text("a"), "parent_run_id": Text("a"), "agent_name": Text("a")}
FEW, MANY = 60, 3000
"""The number of matching runs; a page has 20."""


def alike(number: int, second: int) -> Run:
    """Return a run that differs from the others only in its key and its start."""
    return sample_run(f"event-{number}", start_time=at(second), **NAMES)


def fill(path: Path, count: int, *, same_start: bool) -> None:
    """Create a store with this many similar runs, in batches."""
    with closing(SqliteStore(path)) as store:
        for first in range(0, count, 50):
            with store.unit_of_work() as work:
                work.runs.add([alike(number, 0 if same_start else number) for number in range(first, first + 50)])
                work.commit()


@pytest.fixture(params=[False, True], ids=["other-starts", "same-start"])
def stores(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Return a small and a large store with entries in every key table."""
    hurry(monkeypatch, 128, 512)
    paths = (tmp_path / "few.db", tmp_path / "many.db")
    for path, count in zip(paths, (FEW, MANY), strict=True):
        fill(path, count, same_start=request.param)
    return paths


def steps(path: Path, which: RunFilter, request: PageRequest) -> int:
    """Return how many steps of SQLite's virtual machine reading a page takes."""

    def read(runs: RunReader) -> None:
        assert len(runs.page(which, request).runs) == request.limit

    return steps_of(path, read)


def steps_of(path: Path, read: Callable[[RunReader], object]) -> int:
    """Return how many steps a read takes."""
    taken = 0

    def count() -> bool:
        nonlocal taken
        taken += 1
        return False

    with closing(open_reader(path)) as connection:
        connection.set_progress_handler(count, 1)
        read(SqliteRunRepository(connection))
    return taken


def place(path: Path, which: RunFilter, offset: int) -> Cursor:
    """Return the cursor after this many of the newest runs."""
    with closing(open_reader(path)) as connection:
        cursor = SqliteRunRepository(connection).page(which, PageRequest(limit=1, offset=offset - 1)).next_cursor
        assert cursor is not None
        return cursor


@pytest.mark.parametrize("oldest_first", [False, True], ids=["newest", "oldest"])
@pytest.mark.parametrize("name", [*NAMES, None])
def test_a_page_costs_the_same_however_many_match(
    stores: tuple[Path, Path], name: str | None, *, oldest_first: bool
) -> None:
    """The first page and a middle one take no more steps with 3000 runs than with 60, even if all starts are equal."""
    which = RunFilter(**{name: NAMES[name]}) if name else RunFilter()  # type: ignore[arg-type]
    costs = []
    for path, count in zip(stores, (FEW, MANY), strict=True):
        cursors = (None, place(path, which, count // 2))
        requests = [PageRequest(limit=20, cursor=cursor, oldest_first=oldest_first) for cursor in cursors]
        costs.append([steps(path, which, request) for request in requests])
    for few, many in zip(*costs, strict=True):
        assert many < 2 * few


@pytest.mark.parametrize("name", [*NAMES, None])
def test_a_page_of_a_time_range_begins_at_its_cursor(stores: tuple[Path, Path], name: str | None) -> None:
    """What lies in the range before the cursor is not walked again for each page."""
    named = {name: NAMES[name]} if name else {}
    which = RunFilter(start_time_from=Timestamp(at(0)), start_time_to=Timestamp(at(MANY)), **named)  # type: ignore[arg-type]
    first = steps(stores[1], which, PageRequest(limit=20))
    deep = steps(stores[1], which, PageRequest(limit=20, cursor=place(stores[1], which, MANY // 2)))
    assert deep < 2 * first


def test_the_newest_of_a_name_costs_the_same_however_many_there_are(stores: tuple[Path, Path]) -> None:
    """One run is read, not all that share its name."""

    def cost(path: Path) -> int:
        return steps(path, RunFilter(run_id=NAMES["run_id"]), PageRequest(limit=1))

    assert cost(stores[1]) < 2 * cost(stores[0])


@pytest.mark.parametrize(
    "read",
    [
        lambda runs: runs.facets(RunFilter(), FacetsRequest(fields=[FacetField.STATUS], max_runs=20, max_values=5)),
        lambda runs: runs.statistics(RunFilter(), StatisticsRequest(bucket_seconds=1, max_runs=20, max_buckets=5)),
        lambda runs: runs.page(
            RunFilter(q=Text("none")), PageRequest(max_examined=20, max_seconds=MANY, oldest_first=True)
        ),
    ],
    ids=["facets", "statistics", "search"],
)
def test_what_is_not_examined_costs_nothing(tmp_path: Path, read: Callable[[RunReader], object]) -> None:
    """Looking at some of the runs takes no more steps if more runs follow."""
    costs = []
    for count in (FEW, MANY):
        fill(tmp_path / f"{count}.db", count, same_start=False)
        costs.append(steps_of(tmp_path / f"{count}.db", read))
    assert costs[1] < 2 * costs[0]


def test_runs_of_one_name_are_read_across_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If most entries belong to other names, a page reads the slices it needs; an offset counts only its own runs."""
    collide(monkeypatch, lambda _: 7, lambda _: 8)
    monkeypatch.setattr("adapters.sqlite.listing.SLICE_ENTRIES", 16)
    runs = [sample_run(f"event-{n}", run_id="own" if n % 40 == 0 else f"{n}", start_time=at(n)) for n in range(400)]
    own = RunFilter(run_id=Text("own"))
    with closing(SqliteStore(tmp_path / "runs.db")) as store, store.unit_of_work() as work:
        work.runs.add(runs)
        for oldest_first, expected in ((True, runs[::40]), (False, runs[::40][::-1])):
            page = work.runs.page(own, PageRequest(limit=4, offset=3, oldest_first=oldest_first))
            assert list(page.runs) == expected[3:7]
            request = PageRequest(limit=4, cursor=page.next_cursor, oldest_first=oldest_first)
            assert list(work.runs.page(own, request).runs) == expected[7:]
        assert work.runs.count(own) == 10


@given(time=kept_timestamps())
def test_a_start_is_exact(time: Timestamp) -> None:
    """For any instant in the years 1 to 9999, the start is the number of microseconds since 2028."""
    with closing(apsw.Connection(":memory:")) as connection:
        found = connection.execute(f"SELECT {start_of('?1')}", (time,)).fetchall()
    since = datetime.fromisoformat(time) - datetime(2028, 1, 1, tzinfo=UTC)
    assert found == [(since // timedelta(microseconds=1),)]


def test_a_read_of_many_small_statements_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline applies to a read as a whole, even if each statement takes too few steps for a check."""
    collide(monkeypatch, event_hash, lambda _: 8)
    with closing(SqliteStore(tmp_path / "runs.db", Limits(max_read_seconds=0))) as store:
        with store.unit_of_work() as work:
            work.runs.add([sample_run(f"event-{n}", run_id=f"run-{n}") for n in range(20_000)])
            work.commit()
        with pytest.raises(StoreTimeoutError, match="max_read_seconds"), store.reader() as runs:
            runs.newest("none")
