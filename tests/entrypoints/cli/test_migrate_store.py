"""``runsink migrate-store`` between files, as a command."""

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from core.errors import RunRefusedError
from core.model.listing import PageRequest
from entrypoints.embedded import RunStore, open_store
from tests.servers import Finish, MakeRun

RUNS = 2500

# Without the packages no URL of PostgreSQL can be used.
UNREACHABLE = 75 if find_spec("psycopg") else 2


def fill(path: str | Path, make_run: MakeRun, number: int = RUNS) -> None:
    """A store with runs of every kind of field, some of them changed after they were created."""
    runs = [
        make_run(
            event_id=f"e{key}",
            start_time=f"2026-01-31T12:{key % 7:02}:00Z",
            metrics_json={"n": 2**70, "zero": "\0"},
            unknown=[1.5, "é"],
        )
        for key in range(number)
    ]
    with open_store(path) as store:
        for start in range(0, number, 1000):
            store.ingest_atomic(runs[start : start + 1000])
        store.update("e0", {"status": "failed", "output_summary": "changed"})
        store.associate_commit("e1", {"commit_hash": "abcdef1", "commit_source": "ci"})


def everything(store: RunStore) -> list[Any]:
    """All runs in the order of the list."""
    pages, request = [], PageRequest(limit=1000)
    while True:
        page = store.page(request=request)
        pages += page.runs
        if page.next_cursor is None:
            return pages
        request = PageRequest(limit=1000, cursor=page.next_cursor)


def contents(path: str | Path) -> list[Any]:
    """All runs of a database."""
    with open_store(path) as store:
        return everything(store)


def assert_one_line(ended: "subprocess.CompletedProcess[str]", *words: str, status: int = 1) -> None:
    """The command failed with one line that says this."""
    assert ended.returncode == status
    (line,) = ended.stderr.splitlines()
    assert line.startswith("runsink: ")
    assert all(word in line for word in words), line


def test_a_store_is_copied_and_checked(finish: Finish, make_run: MakeRun, tmp_path: Path) -> None:
    """Every run is in the new file as it is in the old one, times of the server included; a second call agrees."""
    fill(tmp_path / "old.db", make_run)
    for _ in range(2):
        ended = finish("migrate-store", "old.db", "new.db")
        assert (ended.returncode, ended.stdout) == (0, "new.db holds the same runs as old.db\n")
        assert ended.stderr == ""
    assert contents(tmp_path / "new.db") == contents(tmp_path / "old.db")
    assert len(contents(tmp_path / "new.db")) == RUNS


def test_it_catches_up_with_what_came_later(finish: Finish, make_run: MakeRun, tmp_path: Path) -> None:
    """Runs that arrived after the first call are copied by the second, whenever they started."""
    fill(tmp_path / "old.db", make_run, 10)
    assert finish("migrate-store", "old.db", "new.db").returncode == 0
    with open_store(tmp_path / "old.db") as store:
        for year in (2020, 2030):
            store.create(make_run(start_time=f"{year}-01-01T00:00:00Z"))
    assert finish("migrate-store", "old.db", "new.db").returncode == 0
    assert contents(tmp_path / "new.db") == contents(tmp_path / "old.db")


@pytest.mark.parametrize("where", ["old.db", "new.db"])
def test_a_run_that_differs_is_named(finish: Finish, make_run: MakeRun, tmp_path: Path, where: str) -> None:
    """A run that changed on either side after it was copied is left alone, and the check says so."""
    fill(tmp_path / "old.db", make_run, 10)
    assert finish("migrate-store", "old.db", "new.db").returncode == 0
    with open_store(tmp_path / where) as store:
        store.update("e2", {"status": "timeout"})
    before = contents(tmp_path / "new.db")
    assert_one_line(
        finish("migrate-store", "old.db", "new.db"), "run 'e2' differs in updated_at, status", "name an empty database"
    )
    assert contents(tmp_path / "new.db") == before


def test_a_target_with_other_runs_is_no_copy(finish: Finish, make_run: MakeRun, tmp_path: Path) -> None:
    """What only the target holds is named."""
    fill(tmp_path / "old.db", make_run, 10)
    with open_store(tmp_path / "new.db") as store:
        store.create(make_run(event_id="stranger", start_time="2030-01-01T00:00:00Z"))
    assert_one_line(finish("migrate-store", "old.db", "new.db"), "only the target holds run 'stranger'")
    assert len(contents(tmp_path / "new.db")) == 11


def test_what_cannot_be_migrated(finish: Finish, make_run: MakeRun, tmp_path: Path) -> None:
    """A source that is not there, a copy onto itself, and a target that cannot be used: one line, nothing is made."""
    assert_one_line(finish("migrate-store", "none.db", "new.db"), "none.db", "there is no such file", status=2)
    fill(tmp_path / "old.db", make_run, 10)
    assert_one_line(finish("migrate-store", "old.db", "./old.db"), "onto itself", status=2)
    assert_one_line(finish("migrate-store", "old.db", "none/new.db"), "none/new.db", "does not exist")
    unreachable = "postgresql://u:secret@127.0.0.1:1/db"
    assert_one_line(finish("migrate-store", "old.db", unreachable), "postgresql://u@127", status=UNREACHABLE)
    assert [path.name for path in tmp_path.glob("*")] == ["old.db"]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("old.db", "{here}/old.db"),
        ("{here}/old.db", "folder/../old.db"),
        ("old.db", "link.db"),
        ("link.db", "old.db"),
        ("old.db", "hard.db"),
        ("hard.db", "link.db"),
    ],
)
def test_a_store_is_not_copied_onto_itself(
    finish: Finish, make_run: MakeRun, tmp_path: Path, source: str, target: str
) -> None:
    """By whatever names: a relative and an absolute path, a symbolic and a hard link."""
    fill(tmp_path / "old.db", make_run, 2)
    (tmp_path / "folder").mkdir()
    (tmp_path / "hard.db").hardlink_to(tmp_path / "old.db")
    (tmp_path / "link.db").symlink_to("old.db")
    names = [name.format(here=tmp_path) for name in (source, target)]
    assert_one_line(finish("migrate-store", *names), names[0], "onto itself; name another database", status=2)


@pytest.mark.parametrize("place", [0, 1])
def test_a_pipe_is_neither_read_nor_written(finish: Finish, make_run: MakeRun, tmp_path: Path, place: int) -> None:
    """A pipe as FROM or TO is refused at once, and nothing is made."""
    fill(tmp_path / "old.db", make_run, 2)
    os.mkfifo(tmp_path / "pipe")
    names = ("old.db", "pipe") if place else ("pipe", "new.db")
    assert_one_line(finish("migrate-store", *names), "pipe", "name a regular file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.db", "pipe"]


@pytest.mark.parametrize("names", [("", "new.db"), ("old.db", "")])
def test_an_empty_name_is_none(finish: Finish, make_run: MakeRun, tmp_path: Path, names: tuple[str, str]) -> None:
    """What an unset variable leaves of the command names no database."""
    fill(tmp_path / "old.db", make_run, 2)
    assert_one_line(finish("migrate-store", *names), "the database name is empty", status=2)
    assert [path.name for path in tmp_path.iterdir()] == ["old.db"]


def test_the_retention_horizon_is_carried(finish: Finish, make_run: MakeRun, tmp_path: Path) -> None:
    """A run that the source has pruned is rejected by the target, and what the target has pruned does not come back."""
    fill(tmp_path / "old.db", make_run, 70)
    horizon = "2026-01-31T12:03:00Z"
    assert finish("prune", "--before", "2026-01-31T12:02:00Z", "--yes", "--db", "old.db").returncode == 0
    assert finish("migrate-store", "old.db", "new.db").returncode == 0
    old = make_run(event_id="e1", start_time="2026-01-31T12:01:00Z")
    with open_store(tmp_path / "new.db") as store, pytest.raises(RunRefusedError, match="retention horizon"):
        store.create(old)
    assert finish("prune", "--before", horizon, "--yes", "--db", "new.db").returncode == 0
    again = finish("migrate-store", "old.db", "new.db")
    assert (again.returncode, again.stdout) == (
        0,
        f"new.db holds the same runs as old.db from its retention horizon {horizon} on\n",
    )
    assert {run.start_time for run in contents(tmp_path / "new.db")} == {
        f"2026-01-31T12:0{minute}:00.000000Z" for minute in range(3, 7)
    }
