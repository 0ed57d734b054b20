"""A new file: it appears whole or not at all, and leaves nothing behind."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.sqlite.maintenance.new_file import new_file

KILLED = """
import os, signal, sys
from pathlib import Path
from adapters.sqlite.maintenance.new_file import new_file
with new_file(Path(sys.argv[1])) as path:
    path.write_bytes(b"half")
    path.with_name(path.name + "-wal").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> list[str]:
    """The names of all files."""
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_at_the_end(tmp_path: Path) -> None:
    """Private to its owner, with what the block wrote, and nothing else is left."""
    target = tmp_path / "a.db"
    with new_file(target) as path:
        path.write_bytes(b"whole")
        assert not target.exists()
    assert names(tmp_path) == ["a.db"]
    assert target.read_bytes() == b"whole"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Neither under the name nor under another, companions included."""

    def fail() -> None:
        with new_file(tmp_path / "a.db") as path:
            path.with_name(f"{path.name}-journal").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert names(tmp_path) == []


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    """Also if it appeared meanwhile, and even if it is empty."""
    target = tmp_path / "a.db"
    with pytest.raises(FileExistsError), new_file(target):
        target.touch()
    with pytest.raises(FileExistsError), new_file(target):
        pytest.fail("it began although the file is there")
    assert (names(tmp_path), target.read_bytes()) == (["a.db"], b"")


def test_leftovers_of_the_dead_are_removed(tmp_path: Path) -> None:
    """What a killed process left of the same target goes, but nothing of other targets and nothing that is locked."""
    for name in ("a.db", "other.db", "a.db.0123456789abcdef"):
        subprocess.run([sys.executable, "-c", KILLED, tmp_path / name], check=False)
    (tmp_path / ".a.db.mine.part").touch()
    left = names(tmp_path)
    assert len(left) == 7
    with pytest.raises(FileExistsError), new_file(tmp_path / "a.db"), new_file(tmp_path / "a.db"):
        assert len(names(tmp_path)) == len(left) - 2 + 2
    assert len(names(tmp_path)) == len(left) - 2 + 1


def test_a_directory_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    """The error is that of the system."""
    with pytest.raises(FileNotFoundError), new_file(tmp_path / "missing" / "a.db"):
        pytest.fail("it began without a directory")
    with pytest.raises(OSError, match="too long"), new_file(tmp_path / ("x" * 250)):
        pytest.fail(os.strerror(0))


def test_a_file_system_without_hard_links_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written before that is known, and nothing is left."""

    def refuse(*_names: object, **_options: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(OSError, match="no hard links; name a file on another"), new_file(tmp_path / "a.db"):
        pytest.fail("the block was entered")
    assert names(tmp_path) == []
