"""The file of refused runs: private, apart from the database, and never in its way."""

import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from adapters.sqlite import SqliteStore, refusal_repository
from adapters.sqlite.refusal_repository import SqliteRefusalRepository, refusals_of
from core.errors import StoreDamagedError, StoreError, StoreFullError, StoreUnusableError
from core.model.refusal import RefusalFilter, RefusalPageRequest
from tests.contract.samples import keep, sample_run
from tests.contract.test_refusal_repository import BIG, ids, listed, refusal

KEEP = 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a file that is not there yet."""
    return tmp_path / "runs.db-refusals"


@pytest.fixture
def repository(path: Path) -> Iterator[SqliteRefusalRepository]:
    """Return a repository over it."""
    with closing(SqliteRefusalRepository(path, KEEP)) as made:
        yield made


def test_the_file_is_beside_the_database_and_private(tmp_path: Path) -> None:
    """It is made when it is first used, for its owner alone, with its companions."""
    path = tmp_path / "runs.db"
    with closing(SqliteStore(path)) as store, closing(store.refusals(KEEP)) as repository:
        keep(store, sample_run())
        assert not refusals_of(path).exists()
        repository.add([refusal()])
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("runs.db-refusals*")}
    assert modes == dict.fromkeys((f"runs.db-refusals{end}" for end in ("", "-wal", "-shm")), 0o600)


def test_nobody_takes_it_for_a_database_of_runs(repository: SqliteRefusalRepository, path: Path) -> None:
    """Nor a database of runs for it."""
    repository.add([refusal()])
    with pytest.raises(StoreUnusableError, match="another application"):
        SqliteStore(path)
    with closing(SqliteStore(path.with_name("runs.db"))):
        pass
    other = SqliteRefusalRepository(path.with_name("runs.db"), KEEP)
    for use in (lambda: other.add([refusal()]), lambda: listed(other)):
        with pytest.raises(StoreUnusableError, match="was not written by this version of runsink"):
            use()


@pytest.mark.parametrize("content", [b"not SQLite" * 1000, None])
def test_a_damaged_file_says_what_to_do(
    repository: SqliteRefusalRepository, path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    """Whether it was never a database or is damaged within; once it is gone, a new one is made.

    The log does not say that the database is damaged.
    """
    if content is None:
        repository.add([refusal(number, body=BIG) for number in range(KEEP)])
        repository.close()
        data = path.read_bytes()
        content = data[:4096] + b"\xff" * (len(data) - 4096)
    path.write_bytes(content)
    for use in (lambda: repository.add([refusal()]), lambda: listed(repository)):
        with pytest.raises(StoreDamagedError, match="remove it while no server runs"):
            use()
    assert not caplog.messages
    path.unlink()
    repository.add([refusal()])
    assert ids(listed(repository)) == ["event-1"]


def test_a_place_that_cannot_be_used_is_an_error_of_the_store(path: Path) -> None:
    """As everything that may go wrong."""
    repository = SqliteRefusalRepository(path / "missing" / "file", KEEP)
    for use in (lambda: repository.add([refusal()]), lambda: listed(repository)):
        with pytest.raises(StoreError):
            use()


def test_the_last_room_is_left_to_the_runs(
    repository: SqliteRefusalRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With little room nothing is added, what is there can be read, and with room again it goes on."""
    repository.add([refusal(1)])
    with monkeypatch.context() as patched:
        patched.setattr(refusal_repository, "free_bytes", lambda _: refusal_repository.MIN_FREE_BYTES - 1)
        with pytest.raises(StoreFullError, match="64 MiB"):
            repository.add([refusal(2)])
        assert ids(listed(repository)) == ["event-1"]
    repository.add([refusal(3)])
    assert ids(listed(repository)) == ["event-3", "event-1"]


def test_the_file_does_not_grow_beyond_the_bound(path: Path) -> None:
    """The room of what was removed is used again."""
    with closing(SqliteRefusalRepository(path, 20)) as repository:
        sizes = []
        for _ in range(20):
            for _ in range(10):
                repository.add([refusal(number, body=BIG) for number in range(5)])
            repository.close()
            sizes.append(path.stat().st_size)
        assert len(listed(repository)) == 20
    assert max(sizes) <= 40 * 66_000


def test_an_addition_that_fails_midway_changes_nothing(
    repository: SqliteRefusalRepository, connections: list[apsw.Connection]
) -> None:
    """The transaction is undone, and the next addition has a new connection."""
    repository.add([refusal(1)])
    calls = iter(range(1000))

    def interrupt() -> bool:
        return next(calls) > 2

    connections[0].set_progress_handler(interrupt, 20)
    with pytest.raises(StoreError):
        repository.add([refusal(number) for number in range(2, 8)])
    assert ids(listed(repository)) == ["event-1"]
    repository.add([refusal(9)])
    assert ids(listed(repository)) == ["event-9", "event-1"]


def test_reading_does_not_wait_for_whoever_adds(
    repository: SqliteRefusalRepository, path: Path, connections: list[apsw.Connection]
) -> None:
    """A reader sees what was committed before."""
    repository.add([refusal(1)])
    connections[0].execute("BEGIN IMMEDIATE")
    connections[0].execute("DELETE FROM refusals")
    page = SqliteRefusalRepository(path, KEEP).page(RefusalFilter(), RefusalPageRequest())
    connections[0].execute("ROLLBACK")
    assert ids(page.refusals) == ["event-1"]
