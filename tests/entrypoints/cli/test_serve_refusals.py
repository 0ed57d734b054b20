"""How ``runsink serve`` ends when it cannot start: one clear line, a status other than 0, every file as it was."""

import os
import socket
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from adapters.sqlite import SqliteStore
from tests.servers import Finish


def fill_foreign(path: Path) -> None:
    """Another application's database."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE runs (event_id TEXT)")
        database.commit()


def fill_foreign_with_id(path: Path) -> None:
    """Another application's database that is marked as such, and empty otherwise."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA application_id = 12345")
        database.execute("PRAGMA user_version = 1")


def fill_foreign_with_log(path: Path) -> None:
    """Another application's database as a crash left it, with runs in its write-ahead log."""
    original = path.with_suffix(".original")
    with closing(sqlite3.connect(original)) as database:
        database.execute("PRAGMA journal_mode = wal")
        database.execute("CREATE TABLE runs (event_id TEXT)")
        database.commit()
        path.write_bytes(original.read_bytes())
        log = original.with_name(original.name + "-wal")
        path.with_name(path.name + "-wal").write_bytes(log.read_bytes())
    original.unlink()


def fill_newer(path: Path) -> None:
    """A database of a runsink to come."""
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 999")


def fill_text(path: Path) -> None:
    """No database."""
    path.write_text("event_id,run_id\n" * 1000)


def fill_short(path: Path) -> None:
    """No database, and shorter than the header of one."""
    path.write_bytes(b"xy")


def fill_cut(path: Path) -> None:
    """The header of a database without the rest."""
    SqliteStore(path).close()
    path.write_bytes(path.read_bytes()[:100])


def make_read_only(path: Path) -> None:
    """A good database that nobody may write."""
    SqliteStore(path).close()
    path.chmod(0o444)


def make_empty_read_only(path: Path) -> None:
    """An empty file that nobody may write."""
    path.touch(0o444)


def contents(directory: Path) -> dict[str, bytes]:
    """Every file and what is in it."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def assert_one_line(ended: "subprocess.CompletedProcess[str]", *words: str) -> None:
    """It ended badly with exactly one line on stderr, which holds these words, and nothing on stdout."""
    assert ended.returncode not in (0, -1)
    assert ended.stdout == ""
    assert ended.stderr.startswith("runsink: ")
    assert ended.stderr.count("\n") == 1
    assert all(word in ended.stderr for word in words)


@pytest.mark.parametrize(
    ("fill", "reason"),
    [
        (fill_foreign, "another application"),
        (fill_foreign_with_id, "another application"),
        (fill_foreign_with_log, "another application"),
        (fill_newer, "upgrade runsink"),
        (fill_text, "not an SQLite database"),
        (fill_short, "not an SQLite database"),
        (fill_cut, ""),
        (make_read_only, "read-only"),
        (make_empty_read_only, "read-only"),
    ],
)
def test_file_that_cannot_serve_is_left_alone(
    finish: Finish, tmp_path: Path, fill: Callable[[Path], None], reason: str
) -> None:
    """A file that cannot keep runs is named with the reason, and no byte in the directory changes."""
    fill(tmp_path / "given.db")
    before = contents(tmp_path)
    assert_one_line(finish("serve", "--port", "0", "--db", "given.db"), "given.db", reason)
    assert contents(tmp_path) == before


def test_missing_directory(finish: Finish, tmp_path: Path) -> None:
    """A directory that does not exist is named, and not made."""
    assert_one_line(finish("serve", "--port", "0", "--db", "none/runs.db"), "none", "does not exist")
    assert list(tmp_path.iterdir()) == []


def test_directory_in_place_of_a_file(finish: Finish, tmp_path: Path) -> None:
    """A directory is no database."""
    (tmp_path / "folder").mkdir()
    assert_one_line(finish("serve", "--port", "0", "--db", "folder"), "folder", "directory")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_pipe_in_place_of_a_file(finish: Finish, tmp_path: Path, workers: str) -> None:
    """A named pipe is no database, and the start does not wait for its other end."""
    os.mkfifo(tmp_path / "pipe")
    ended = finish("serve", "--port", "0", "--workers", workers, "--db", "pipe")
    assert_one_line(ended, "pipe", "a pipe, a socket or a device; name a regular file")


def test_empty_name(finish: Finish, tmp_path: Path) -> None:
    """What an unset variable leaves of the option names no database."""
    assert_one_line(finish("serve", "--port", "0", "--db", ""), "the database name is empty")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("existing", [False, True])
def test_directory_without_the_right_to_write(finish: Finish, tmp_path: Path, *, existing: bool) -> None:
    """In a directory that may not be written no database can be kept, be it there or not."""
    folder = tmp_path / "folder"
    folder.mkdir()
    if existing:
        SqliteStore(folder / "runs.db").close()
    before = contents(folder)
    folder.chmod(0o555)
    assert_one_line(finish("serve", "--port", "0", "--db", "folder/runs.db"), "folder", "permission")
    assert contents(folder) == before
    folder.chmod(0o755)


def test_port_in_use(finish: Finish) -> None:
    """A port that somebody listens on is named with the address."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = str(listener.getsockname()[1])
        assert_one_line(finish("serve", "--port", port), "cannot listen", "127.0.0.1", port)


def test_address_that_is_not_ours(finish: Finish) -> None:
    """An address that this machine does not have is named."""
    ended = finish("serve", "--port", "0", "--host", "192.0.2.1", "--allow-anonymous")
    assert_one_line(ended, "cannot listen", "192.0.2.1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "x"),
        ("port", "-1"),
        ("port", "65536"),
        ("partial_status", "201"),
        ("rate_runs", "9/eon"),
        ("allowed_origins", "https://app.example/"),
        ("allowed_hosts", "http://runs.example"),
    ],
)
@pytest.mark.parametrize("way", ["option", "variable", "file"])
def test_invalid_setting(finish: Finish, tmp_path: Path, name: str, value: str, way: str) -> None:
    """A value that a setting cannot have ends the start with its name, without a traceback, by each way to set it."""
    arguments, environment = ["serve"], {}
    if way == "option":
        arguments.append(f"--{name.replace('_', '-')}={value}")
    elif way == "variable":
        environment[f"RUNSINK_{name.upper()}"] = value
    else:
        (tmp_path / "runsink.toml").write_text(f"[runsink]\n{name} = {value!r}\n")
    before = contents(tmp_path)
    ended = finish(*arguments, **environment)
    assert ended.returncode not in (0, -1)
    assert "Traceback" not in ended.stderr
    assert name in ended.stderr.lower().replace("-", "_")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("text", ["[runsink", "[runsink]\nprot = 1\n", "[runsink]\nport = []\n", "runsink = 1\n"])
def test_invalid_file(finish: Finish, tmp_path: Path, text: str) -> None:
    """A settings file that is no TOML or sets what is not there ends the start with its name, without a traceback."""
    (tmp_path / "runsink.toml").write_text(text)
    ended = finish("serve")
    assert ended.returncode not in (0, -1)
    assert "Traceback" not in ended.stderr
    assert "runsink.toml" in ended.stderr
    assert not (tmp_path / "runsink.db").exists()
