"""The file of the SQLite store: resolving its path, its permissions, and unsuitable files."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
import pytest

from adapters.sqlite import SqliteStore
from core.errors import StoreUnusableError
from tests.contract.samples import all_keys, everything, keep, sample_run
from tests.servers import DEADLINE_SECONDS

PRIVATE = 0o600

KEEP_ONE = """
import os, sys
from entrypoints.embedded import open_store
os.umask(0)
print("ready", flush=True)
sys.stdin.readline()
run = {"run_id": "r", "agent_name": "a", "job_type": "j", "start_time": "2026-01-31T12:00:00Z"}
with open_store(sys.argv[1]) as store:
    store.create({"event_id": sys.argv[2], **run})
"""

TAKE_EXCLUSIVELY = """
import sqlite3, sys
try:
    sqlite3.connect(sys.argv[1]).execute("PRAGMA journal_mode = delete")
except sqlite3.OperationalError as error:
    print(error)
"""


@pytest.fixture(params=[0, 0o022])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """Set the umask: none, and the usual one."""
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode_of(path: Path | str) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(Path(path).stat().st_mode)


class RecordingVFS(apsw.VFS):
    """Records the mode of each file when SQLite has opened it, and before if it existed."""

    def __init__(self) -> None:
        self.modes: dict[str, set[int]] = {}
        super().__init__("recording", apsw.vfs_names()[0], makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's
        if name is None:
            return super().xOpen(name, flags)
        path = Path(name if isinstance(name, str) else name.filename())
        modes = self.modes.setdefault(path.name, set())
        if path.exists():
            modes.add(mode_of(path))
        opened = super().xOpen(name, flags)
        modes.add(mode_of(path))
        return opened


@contextmanager
def recorded_modes() -> Iterator[dict[str, set[int]]]:
    """Record the modes of each file that SQLite opens in the block."""
    vfs = RecordingVFS()
    try:
        yield vfs.modes
    finally:
        vfs.unregister()


@pytest.mark.usefixtures("umask")
def test_only_the_owner_may_read_a_new_file(path: Path) -> None:
    """The file and its companions are private from the start, whatever the umask."""
    with recorded_modes() as modes, closing(SqliteStore(path)) as store:
        keep(store, sample_run("a"))
        assert {file.name: mode_of(file) for file in path.parent.iterdir()} == {
            f"{path.name}{ending}": PRIVATE for ending in ("", "-wal", "-shm")
        }
    assert modes == {f"{path.name}{ending}": {PRIVATE} for ending in ("", "-journal", "-wal")}


def test_the_mode_of_a_file_that_is_there_stays(path: Path) -> None:
    """Permissions granted by an operator are kept, whether the file is empty or in use."""
    path.touch()
    path.chmod(0o640)
    for _ in range(2):
        with closing(SqliteStore(path)) as store:
            keep(store, sample_run("a"))
            assert {mode_of(file) for file in path.parent.iterdir()} == {0o640}


def test_processes_may_create_the_file_at_once(path: Path) -> None:
    """The file is created once, private, and every process's run is stored."""
    keys = {f"event-{number}" for number in range(4)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", KEEP_ONE, path, key], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for key in keys
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=DEADLINE_SECONDS)
        assert process.returncode == 0
    assert mode_of(path) == PRIVATE
    with closing(SqliteStore(path)) as store:
        assert all_keys(store) == keys


def test_threads_may_create_the_file_at_once(path: Path) -> None:
    """Stores of one process that create the file concurrently keep their runs and locks."""

    def open_and_keep(number: int) -> SqliteStore:
        store = SqliteStore(path)
        keep(store, sample_run(f"event-{number}"))
        return store

    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(open_and_keep, range(4)))
    assert_locked(path)
    assert len(all_keys(stores[0])) == 4
    for store in stores:
        store.close()


def assert_locked(path: Path) -> None:
    """Check that no other process can lock the whole file with its WAL."""
    taking = [sys.executable, "-c", TAKE_EXCLUSIVELY, path]
    told = subprocess.run(taking, capture_output=True, text=True, check=True, timeout=DEADLINE_SECONDS)
    assert told.stdout == "database is locked\n"


def test_a_second_store_in_the_process_leaves_the_locks_alone(path: Path) -> None:
    """Opening the same file again, or trying to, does not let another process remove the WAL in use."""
    with closing(SqliteStore(path)) as store:
        keep(store, sample_run("a"))
        with closing(SqliteStore(path)):
            assert_locked(path)
        assert_locked(path)
        keep(store, sample_run("b"))
        with closing(SqliteStore(path)) as second:
            assert all_keys(second) == {"a", "b"}


def test_a_store_stays_with_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changing the working directory or a link does not make readers use another file."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    (here / "link.db").symlink_to("runs.db")
    monkeypatch.chdir(here)
    with closing(SqliteStore(Path("link.db"))) as store:
        monkeypatch.chdir(there)
        (here / "link.db").unlink()
        (here / "link.db").symlink_to(there / "other.db")
        with store.reader() as first, store.reader() as second:
            assert everything(first) == everything(second) == ()
        keep(store, sample_run("a"))
        store.check_room()
        with store.reader() as first, store.reader() as second:
            assert everything(first) == everything(second) == (sample_run("a"),)
    assert list(there.iterdir()) == []
    assert sorted(file.name for file in here.iterdir()) == ["link.db", "runs.db"]


def test_a_link_to_a_missing_file_makes_the_file(tmp_path: Path) -> None:
    """The link is kept, and its target is created without any other file."""
    folder = tmp_path / "folder"
    folder.mkdir()
    link = tmp_path / "link.db"
    link.symlink_to("folder/runs.db")
    with closing(SqliteStore(link)) as store:
        keep(store, sample_run("a"))
        assert [file.name for file in tmp_path.iterdir() if file != folder] == ["link.db"]
    assert link.is_symlink()
    assert [(file.name, mode_of(file)) for file in folder.iterdir()] == [("runs.db", PRIVATE)]


@pytest.mark.parametrize(("target", "reason"), [("none/runs.db", "does not exist"), ("link.db", "symbolic links")])
def test_a_link_to_nowhere_is_refused(tmp_path: Path, target: str, reason: str) -> None:
    """A link into a missing directory, or to itself, is rejected in one line, and nothing is created."""
    link = tmp_path / "link.db"
    link.symlink_to(target)
    with pytest.raises(StoreUnusableError, match=reason):
        SqliteStore(link)
    assert list(tmp_path.iterdir()) == [link]


def test_a_pipe_is_refused(path: Path) -> None:
    """A pipe is rejected without waiting for its other end."""
    os.mkfifo(path)
    with pytest.raises(StoreUnusableError, match="a pipe, a socket or a device; name a regular file"):
        SqliteStore(path)
    assert list(path.parent.iterdir()) == [path]


def test_a_socket_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket is rejected."""
    # A socket address must be shorter than a path.
    monkeypatch.chdir(path.parent)
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(path.name)
        with pytest.raises(StoreUnusableError, match="name a regular file"):
            SqliteStore(path)


def test_a_device_is_refused(path: Path) -> None:
    """A device is rejected, even behind a link."""
    path.symlink_to(os.devnull)
    with pytest.raises(StoreUnusableError, match="name a regular file"):
        SqliteStore(path)


@pytest.mark.parametrize("name", ["a\0b.db", "\ud800.db", "a\udcff.db"])
def test_a_name_that_sqlite_cannot_take_is_refused(tmp_path: Path, name: str) -> None:
    """The message shows the name in a form that any terminal can display."""
    with pytest.raises(StoreUnusableError, match="name another file") as caught:
        SqliteStore(tmp_path / name)
    assert str(caught.value).isprintable()
    assert list(tmp_path.iterdir()) == []
