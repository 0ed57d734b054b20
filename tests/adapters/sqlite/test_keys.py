"""The index of IDs: every ID is found, wherever the merge is and whichever IDs share a hash."""

from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sqlite import SqliteStore, keys, listing, run_repository
from adapters.sqlite.keys import HASH_SPAN, LOWEST_HASH, event_hash, run_hash
from adapters.sqlite.run_repository import SqliteRunRepository
from adapters.sqlite.schema import migrate
from core.model.listing import PageRequest, RunFilter
from core.model.run import EventId, Run, Text
from tests.contract.samples import add, at, everything, keep, read, sample_run

EXAMPLES = settings(max_examples=40)


def hurry(patch: pytest.MonkeyPatch, *turns: int, stride: int = 1) -> None:
    """Make the merge empty the smaller tables after few arrivals."""
    patch.setattr(keys, "STRIDE", stride)
    moves = [(turn, *statements) for turn, (_, *statements) in zip(turns, keys._MOVES, strict=True)]  # noqa: SLF001
    patch.setattr(keys, "_MOVES", moves)


def runs_of(numbers: range) -> list[Run]:
    """Return runs in groups of three with the same name."""
    return [sample_run(f"event-{number}", run_id=f"run-{number // 3}", start_time=at(number)) for number in numbers]


@pytest.fixture
def store(path: Path) -> SqliteStore:
    """Return a store in a new file."""
    return SqliteStore(path)


@EXAMPLES
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    turns=st.tuples(st.integers(4, 40), st.integers(4, 200)),
    stride=st.integers(1, 4),
)
def test_every_id_is_found_wherever_the_merge_stands(sizes: list[int], turns: tuple[int, int], stride: int) -> None:
    """After batches of any size, each key and each name is found, and each key sent again exists."""
    connection = apsw.Connection(":memory:")
    migrate(connection)
    runs = SqliteRunRepository(connection)
    sent: list[Run] = []
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch, *turns, stride=stride)
        for size in sizes:
            batch = runs_of(range(len(sent), len(sent) + size))
            assert add(runs, batch) == {}
            sent += batch
            assert add(runs, sent) == {run.event_id: run for run in sent}
    assert [runs.get(run.event_id) for run in sent] == sent
    assert {runs.newest(run.run_id) for run in sent} == {*sent[2::3], sent[-1]}
    connection.close()


def test_entries_do_move_on(store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The merge empties the smaller tables, and neither loses nor duplicates entries."""
    hurry(monkeypatch, 10, 50)
    for start in range(0, 200, 5):
        with store.unit_of_work() as work:
            work.runs.add(runs_of(range(start, start + 5)))
            work.commit()
    store.close()
    connection = apsw.Connection(str(path))
    counts = [connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0] for table in keys.TABLES]
    connection.close()
    assert sum(map(int, counts)) == 2 * 200  # type: ignore[arg-type]
    assert all(counts)


@pytest.mark.parametrize("id_hash", [event_hash, run_hash])
@pytest.mark.parametrize("text", ["", "a", "\U0001f600" * 255])
def test_hashes_lie_in_their_span(id_hash: Callable[[str], int], text: str) -> None:
    """Every text has a stable hash within the bounds of the merge."""
    assert LOWEST_HASH <= id_hash(text) < LOWEST_HASH + HASH_SPAN
    assert id_hash(text) == id_hash(text)


def collide(patch: pytest.MonkeyPatch, event: Callable[[str], int], run: Callable[[str], int]) -> None:
    """Replace the hash functions."""
    for module in (run_repository, listing):
        patch.setattr(module, "event_hash", event)
        patch.setattr(module, "run_hash", run)


def test_ids_that_share_a_hash_stay_apart(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """If all keys share one hash and all names another, each is still found and counted separately."""
    collide(monkeypatch, lambda _: 7, lambda _: 8)
    runs = [sample_run(key, run_id=f"run-{key}", start_time=at(1)) for key in "abc"]
    keep(store, *runs)
    with store.unit_of_work() as work:
        assert add(work.runs, [runs[1], sample_run("d")]) == {"b": runs[1]}
        assert [work.runs.get(EventId(key)) for key in "abcde"] == [*runs, sample_run("d"), None]
        assert [work.runs.newest(f"run-{key}") for key in "abce"] == [*runs, None]
        assert work.runs.count(RunFilter(event_id=EventId("a"))) == 1
        assert work.runs.page(RunFilter(run_id=Text("run-c")), PageRequest()).runs == (runs[2],)
    store.close()


def test_a_replacement_touches_no_run_of_the_same_hash(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the run with this key is replaced."""
    collide(monkeypatch, lambda _: 7, lambda _: 8)
    keep(store, sample_run("a"), sample_run("b"))
    changed = sample_run("a", output_summary="new")
    with store.unit_of_work() as work:
        work.runs.replace(changed)
        work.commit()
    assert read(store, everything) == (sample_run("b"), changed)
    store.close()


def test_the_two_ids_of_a_run_may_share_a_hash(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose key and name have the same hash is stored like any other."""
    collide(monkeypatch, lambda _: 7, lambda _: 7)
    keep(store, sample_run("a"))
    assert read(store, lambda runs: runs.get(EventId("a"))) == sample_run("a")
    assert read(store, lambda runs: runs.newest("launch-1")) == sample_run("a")
    store.close()
