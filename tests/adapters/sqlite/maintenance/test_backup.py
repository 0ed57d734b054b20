"""Copies of store files: whole, of one moment, checked, or not there."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from adapters.sqlite import SqliteStore
from adapters.sqlite.file import wal_of
from adapters.sqlite.maintenance import CopyProgress, WrongFileError, back_up, backup, check_file, restore
from core.errors import StoreDamagedError, StoreFullError, StoreUnusableError
from core.model.run import Run
from tests.contract.samples import everything, keep, read, sample_run

STEPS = 30


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return the file of a closed store that is a few steps long."""
    path = tmp_path / "source" / "runs.db"
    path.parent.mkdir()
    with closing(SqliteStore(path)) as store:
        keep(store, *(sample_run(f"event-{number}", output_summary="x" * 5000) for number in range(STEPS)))
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Return a path for a copy, in a directory of its own."""
    path = tmp_path / "target" / "copy.db"
    path.parent.mkdir()
    return path


@pytest.fixture
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "STEP_PAGES", 1)


def runs_of(path: Path) -> tuple[Run, ...]:
    """All runs of a store."""
    with closing(SqliteStore(path)) as store:
        return read(store, everything)


def names(folder: Path) -> list[str]:
    """The names of all files."""
    return sorted(path.name for path in folder.iterdir())


def nothing(_path: Path) -> None:
    """Change nothing of a copy."""


@pytest.mark.usefixtures("_small_steps")
def test_a_copy_is_of_one_moment(source: Path, target: Path) -> None:
    """Whatever is written while it is made: it has everything that was there when it began, and nothing since."""
    with closing(SqliteStore(source)) as store:
        before = read(store, everything)
        seen = []

        def write(done: int, whole: int) -> None:
            keep(store, sample_run(f"late-{done}"))
            store.maintain(quiet=True)
            seen.append((done, whole))
            assert len(seen) < 20 * STEPS, "it begins again whenever something is written"

        report = back_up(source, target, CopyProgress(copying=write))
        assert len(seen) > STEPS
        assert seen[-1][0] == seen[-1][1]
        assert len(read(store, everything)) == len(before) + len(seen)
    assert (report.problems, report.runs) == ((), len(before))
    assert names(target.parent) == ["copy.db"]
    assert runs_of(target) == before


def test_a_store_that_nobody_uses_is_copied_and_left_alone(source: Path, target: Path) -> None:
    """No file appears beside it, and none changes."""
    before = source.read_bytes()
    assert back_up(source, target, CopyProgress()).runs == STEPS
    assert (names(source.parent), source.read_bytes()) == (["runs.db"], before)


def test_what_is_only_in_a_wal_is_copied(source: Path, target: Path, tmp_path: Path) -> None:
    """A copy of a crashed store has the runs of its WAL, and restoring from such files takes them along."""
    store = SqliteStore(source)
    keep(store, sample_run("in the WAL"))
    crashed = tmp_path / "crashed.db"
    shutil.copy(source, crashed)
    shutil.copy(wal_of(source), wal_of(crashed))
    store.close()
    assert restore(crashed, target, CopyProgress(), nothing).runs == STEPS + 1
    assert names(target.parent) == ["copy.db"]


def test_a_damaged_store_is_not_kept(source: Path, target: Path) -> None:
    """Nothing appears, and the message names the damage and the command that tells more."""
    with closing(apsw.Connection(str(source))) as connection:
        connection.execute("UPDATE tallies SET runs = runs + 1")
    said = r"runs\.db is damaged: agent_name 'translator' has .*`runsink check"
    with pytest.raises(StoreDamagedError, match=said):
        back_up(source, target, CopyProgress())
    with pytest.raises(StoreDamagedError, match=said):
        restore(source, target, CopyProgress(), nothing)
    assert names(target.parent) == []


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_store_is_not_kept(source: Path, target: Path, share: float) -> None:
    """SQLite may notice when it begins to read, or only the check of the copy."""
    content = source.read_bytes()
    source.write_bytes(content[: int(len(content) * share) // 4096 * 4096])
    with pytest.raises(StoreDamagedError, match=r"runs\.db is damaged: "):
        back_up(source, target, CopyProgress())
    assert names(target.parent) == []


@pytest.fixture
def _full(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no new file of a copy have more than a few pages."""
    monkeypatch.setattr(backup, "free_bytes", lambda _path: 2**40)

    def limit(opened: apsw.Connection) -> None:
        if opened.db_filename("main").endswith(".part"):
            opened.pragma("max_page_count", 5)

    apsw.connection_hooks.append(limit)
    yield
    apsw.connection_hooks.remove(limit)


@pytest.mark.usefixtures("_full", "_small_steps")
def test_a_disk_that_fills_up_leaves_nothing(source: Path, target: Path) -> None:
    """What was written so far is removed, and the message says that the disk is full."""
    with pytest.raises(StoreFullError, match="the disk is full"):
        back_up(source, target, CopyProgress())
    assert names(target.parent) == []


def test_too_little_room_is_said_before(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With how much there is and how much it takes; nothing is written."""
    monkeypatch.setattr(backup, "free_bytes", lambda _path: 4096)
    with pytest.raises(StoreFullError, match=r"has 0\.0 MiB free but the copy takes .* MiB"):
        back_up(source, target, CopyProgress())
    assert names(target.parent) == []


def test_a_sync_that_fails_leaves_nothing(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that is not on the disk does not appear."""

    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreUnusableError, match=r"cannot write .*copy.db: Input/output error"):
        back_up(source, target, CopyProgress())
    assert names(target.parent) == []


def test_an_existing_file_is_left_alone(source: Path, target: Path) -> None:
    """By a backup and by a restore, and so is what belongs to a database that is gone."""
    target.write_bytes(b"mine")
    with pytest.raises(WrongFileError, match="exists already and was left alone"):
        back_up(source, target, CopyProgress())
    with pytest.raises(WrongFileError, match="exists already and was left alone"):
        restore(source, target, CopyProgress(), nothing)
    assert target.read_bytes() == b"mine"
    target.unlink()
    for ending in ("-wal", "-shm", "-journal"):
        left = target.with_name(f"{target.name}{ending}")
        left.write_bytes(b"mine")
        with pytest.raises(WrongFileError, match=f"it is not there but copy.db{ending} is"):
            restore(source, target, CopyProgress(), nothing)
        assert left.read_bytes() == b"mine"
        left.unlink()


def test_a_missing_source_is_no_store(source: Path, target: Path) -> None:
    """Neither is a file of something else; the message names it."""
    with pytest.raises(WrongFileError, match=r"missing\.db: there is no such file"):
        back_up(source.with_name("missing.db"), target, CopyProgress())
    source.write_bytes(b"something else, but long enough " * 1000)
    with pytest.raises(StoreUnusableError, match="the file is not an SQLite database; name another"):
        restore(source, target, CopyProgress(), nothing)
    assert names(target.parent) == []


def test_a_copy_is_finished_before_it_appears(source: Path, target: Path) -> None:
    """What changes it last may leave nothing beside it, and a failure leaves nothing at all."""

    def finish(path: Path) -> None:
        with closing(SqliteStore(path)) as store:
            keep(store, sample_run("last"))
        assert not target.exists()

    restore(source, target, CopyProgress(), finish)
    assert names(target.parent) == ["copy.db"]
    assert check_file(target).runs == STEPS + 1
    target.unlink()

    def fail(_path: Path) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        restore(source, target, CopyProgress(), fail)
    assert names(target.parent) == []
