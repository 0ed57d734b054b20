"""Files damaged from outside: reported at the start or on use, never ignored, never made worse."""

import logging
import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from adapters.sqlite import SqliteStore
from core.errors import StoreDamagedError, StoreError, StoreUnusableError
from core.model.listing import PageRequest, RunFilter
from core.model.run import EventId, Run
from core.ports.run_repository import RunReader
from tests.contract.samples import agent_names, all_keys, at, everything, keep, read, sample_run
from tests.figures import Figures, Scale
from tests.servers import Start

PAGE = 4_096
RUNS = [
    sample_run(
        f"event-{number}",
        run_id=f"run-{number}",
        parent_run_id=f"parent-{number % 7}",
        agent_name=f"agent-{number % 11}",
        start_time=at(number),
        input_summary="x" * 700,
    )
    for number in range(120)
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Make an intact file with some runs and no WAL."""
    path = tmp_path / "runs.db"
    with closing(SqliteStore(path)) as store:
        keep(store, *RUNS)
    return path


@pytest.fixture
def crashed(path: Path) -> Path:
    """Make the file as a crash leaves it, with ten commits in its WAL."""
    left = path.with_name("crashed.db")
    with closing(SqliteStore(path)) as store:
        for number in range(10):
            keep(store, sample_run(f"late-{number}"))
        left.write_bytes(path.read_bytes())
        wal_of(left).write_bytes(wal_of(path).read_bytes())
    return left


def wal_of(path: Path) -> Path:
    """Return the WAL beside a file."""
    return path.with_name(f"{path.name}-wal")


def cut_in_half(content: bytes) -> bytes:
    """Truncate the file, as an interrupted copy does."""
    return content[: len(content) // 2]


def cut_inside_a_page(content: bytes) -> bytes:
    """Truncate the file anywhere, as an interrupted copy does."""
    return content[: len(content) - PAGE - 100]


def spoil_header(content: bytes) -> bytes:
    """Overwrite the first bytes."""
    return b"garbage!" * 2 + content[16:]


def spoil_page_size(content: bytes) -> bytes:
    """Give the header an impossible page size."""
    return content[:16] + b"\x00\x03" + content[18:]


def spoil_schema(content: bytes) -> bytes:
    """Zero the list of tables."""
    return content[:100] + bytes(PAGE - 100) + content[PAGE:]


def zero_all_but_the_first_page(content: bytes) -> bytes:
    """Keep only the names of the tables."""
    return content[:PAGE] + bytes(len(content) - PAGE)


DAMAGES = [
    cut_in_half,
    cut_inside_a_page,
    spoil_header,
    spoil_page_size,
    spoil_schema,
    zero_all_but_the_first_page,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused_and_left_alone(path: Path, damage: Callable[[bytes], bytes]) -> None:
    """One line says which file and what to do; no byte changes, and nothing appears beside the file."""
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    assert_refused(path)
    assert path.read_bytes() == damaged
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("damage", [spoil_header, zero_all_but_the_first_page])
def test_a_damaged_file_keeps_its_wal(crashed: Path, damage: Callable[[bytes], bytes]) -> None:
    """A WAL that a crash left beside a damaged file is neither checkpointed nor removed: a repair may need it."""
    damaged, wal = damage(crashed.read_bytes()), wal_of(crashed).read_bytes()
    crashed.write_bytes(damaged)
    assert_refused(crashed)
    assert (crashed.read_bytes(), wal_of(crashed).read_bytes()) == (damaged, wal)


@pytest.mark.parametrize("damage", [spoil_header, zero_all_but_the_first_page])
def test_a_damaged_file_behind_a_link_is_left_alone(crashed: Path, damage: Callable[[bytes], bytes]) -> None:
    """The WAL is searched for beside the file, not beside the link, and neither changes."""
    damaged, wal = damage(crashed.read_bytes()), wal_of(crashed).read_bytes()
    crashed.write_bytes(damaged)
    link = crashed.parent / "links" / "link.db"
    link.parent.mkdir()
    link.symlink_to(crashed)
    assert_refused(link, names=crashed)
    assert (crashed.read_bytes(), wal_of(crashed).read_bytes()) == (damaged, wal)
    assert list(link.parent.iterdir()) == [link]


def assert_refused(path: Path, names: Path | None = None) -> None:
    """Check that the file cannot be opened, for a reason given in one line, which names it."""
    with pytest.raises(StoreUnusableError) as caught:
        SqliteStore(path)
    text = str(caught.value)
    assert text.startswith(f"cannot use {names or path}: ")
    assert "restore it from a backup" in text or "not an SQLite database" in text
    assert "\n" not in text


QUERIES: list[Callable[[RunReader], object]] = [
    everything,
    lambda runs: [runs.get(run.event_id) for run in RUNS],
    lambda runs: [runs.newest(run.run_id) for run in RUNS],
    agent_names,
    lambda runs: runs.count(RunFilter()),
    lambda runs: [runs.page(RunFilter(parent_run_id=run.parent_run_id), PageRequest()).runs for run in RUNS[:7]],
    lambda runs: runs.count(RunFilter(start_time_from=RUNS[60].start_time)),
    lambda runs: runs.page(RunFilter(roots=True), PageRequest()).runs,
]


def test_every_damaged_page_shows(path: Path, scale: Scale, figures: Figures) -> None:
    """With any one page zeroed, each query returns the truth or an error: no run is dropped silently."""
    whole = path.read_bytes()
    with closing(SqliteStore(path)) as store:
        truths = [read(store, query) for query in QUERIES]
    refused = failing = 0
    pages = pages_of_runs(path)[:: scale(3, 1)]
    for page in pages:
        damaged = whole[: page * PAGE] + bytes(PAGE) + whole[(page + 1) * PAGE :]
        path.write_bytes(damaged)
        try:
            errors = count_errors(path, truths)
        except StoreUnusableError:
            refused += 1
        else:
            assert errors
            failing += 1
        assert path.read_bytes() == damaged
    figures(pages=len(pages), refused_at_the_start=refused, said_by_queries=failing, passed_over=0)


def pages_of_runs(path: Path) -> list[int]:
    """Return the pages that hold runs or lead to them: not those of jobs, nor the pointer map, which no query reads."""
    with closing(apsw.Connection(str(path))) as connection:
        sql = "SELECT pageno - 1 FROM dbstat WHERE name NOT LIKE '%job%' ORDER BY pageno"
        return [page for (page,) in connection.execute(sql)]


def count_errors(path: Path, truths: list[object]) -> int:
    """Return the number of failing queries; the others must return the truth."""
    errors = 0
    with closing(SqliteStore(path)) as store:
        for query, truth in zip(QUERIES, truths, strict=True):
            try:
                assert read(store, query) == truth
            except StoreError:
                errors += 1
    return errors


def test_damage_found_later_is_said_and_logged(path: Path, start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """Over HTTP it is 500 with what to do; the log has the cause; unaffected requests succeed."""
    content = bytearray(path.read_bytes())
    with closing(apsw.Connection(str(path))) as connection:
        assert connection.execute("SELECT max(arrival) FROM runs").fetchall() == [(len(RUNS),)]
    place = content.rindex(b"event-119")
    page = place // PAGE
    content[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
    path.write_bytes(content)
    with start() as server, caplog.at_level(logging.ERROR, "runsink"):
        answer = server.find(limit=5)
        assert (answer.status, list(answer.body)) == (500, ["detail"])
        assert "damaged" in answer.body["detail"]
        assert "restore it from a backup" in answer.body["detail"]
        assert "the database is damaged" in caplog.text
        assert server.get("run-3").body["event_id"] == "event-3"
        assert server.request("GET", "/api/v1/metadata").status == 200


@pytest.mark.parametrize("change", ["status = 'odd'", "input_summary = CAST(x'81' AS TEXT)"])
def test_a_value_that_cannot_be_is_damage(path: Path, change: str) -> None:
    """A row that SQLite can read but no runsink wrote is an error, not a run."""
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(f"UPDATE runs SET {change} WHERE event_id = 'event-5'")
    with closing(SqliteStore(path)) as store:
        with pytest.raises(StoreDamagedError, match="restore"):
            read(store, lambda runs: runs.get(EventId("event-5")))
        assert read(store, lambda runs: runs.get(EventId("event-6"))) == RUNS[6]


def test_a_damaged_wal_ends_where_it_is_damaged(crashed: Path, scale: Scale, figures: Figures) -> None:
    """SQLite ignores everything from a bad frame on, as after a power cut: commits before it are intact."""
    wal = wal_of(crashed).read_bytes()
    base = crashed.read_bytes()
    chance = random.Random(4)  # noqa: S311 - to be repeated, not to be secret
    attempts = scale(15, 300)
    kept = []
    for attempt in range(attempts):
        path = crashed.with_name(f"{attempt}.db")
        place = chance.randrange(len(wal))
        path.write_bytes(base)
        wal_of(path).write_bytes(wal[:place] + bytes([wal[place] ^ 0x55]) + wal[place + 1 :])
        with closing(SqliteStore(path)) as store:
            late = all_keys(store) - keys_of(RUNS)
            keep(store, sample_run("after"))
        assert late == {f"late-{number}" for number in range(len(late))}
        kept.append(len(late))
        with closing(apsw.Connection(str(path))) as connection:
            assert connection.pragma("integrity_check") == "ok"
    figures(attempts=attempts, commits=10, fewest_kept=min(kept), most_kept=max(kept))


def keys_of(runs: list[Run]) -> set[str]:
    """Return the keys of some runs."""
    return {run.event_id for run in runs}
