"""``runsink check`` as a command."""

import json
from contextlib import closing
from pathlib import Path

import apsw

from tests.entrypoints.cli.test_migrate_store import fill
from tests.servers import Finish, MakeRun, Serve

RUNS = 20


def test_a_sound_database_is_reported(finish: Finish, make_run: MakeRun, tmp_path: Path) -> None:
    """As text on stdout, and for programs as one JSON object."""
    fill(tmp_path / "runs.db", make_run, RUNS)
    ended = finish("check", "--db", "runs.db")
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = dict(line.split("  ", 1) for line in ended.stdout.splitlines())
    assert {name: lines[name].strip() for name in ("database", "runs", "healthy")} == {
        "database": "runs.db",
        "runs": str(RUNS),
        "healthy": "yes",
    }
    ended = finish("check", "--db", "runs.db", "--json")
    found = json.loads(ended.stdout)
    assert (found["healthy"], found["problems"], found["runs"], found["event_ids"]) == (True, [], RUNS, RUNS)


def test_the_database_is_that_of_serve(finish: Finish, make_run: MakeRun, tmp_path: Path) -> None:
    """Without the option, the variable names it, or the file of settings, else it is runsink.db."""
    for name, number in (("runsink.db", 1), ("variable.db", 2), ("file.db", 3)):
        fill(tmp_path / name, make_run, max(number, 2))
    assert json.loads(finish("check", "--json").stdout)["database"] == "./runsink.db"
    assert json.loads(finish("check", "--json", RUNSINK_DB="variable.db").stdout)["database"] == "variable.db"
    (tmp_path / "runsink.toml").write_text('[runsink]\ndb = "file.db"\n')
    assert json.loads(finish("check", "--json").stdout)["database"] == "file.db"
    (tmp_path / "runsink.toml").write_text("[runsink]\nport = 0.5\n")
    ended = finish("check")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "runsink.toml: port must be an integer" in ended.stderr


def test_damage_is_named_and_what_to_do(finish: Finish, make_run: MakeRun, tmp_path: Path) -> None:
    """Each problem is a line on stderr, the last one says what to do, and the status is 1."""
    fill(tmp_path / "runs.db", make_run, RUNS)
    with closing(apsw.Connection(str(tmp_path / "runs.db"))) as connection:
        connection.execute("UPDATE tallies SET name = 'a' || char(10) || 'b' WHERE field = 'agent_name'")
    ended = finish("check", "--db", "runs.db")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[:2] == [
        r"runsink: agent_name 'a\nb' has 0 runs but a tally of 20",
        f"runsink: agent_name 'translator' has {RUNS} runs but a tally of 0",
    ]
    assert "restore a backup" in ended.stderr.splitlines()[-1]
    assert "healthy" in ended.stdout
    found = json.loads(finish("check", "--db", "runs.db", "--json").stdout)
    assert (found["healthy"], len(found["problems"])) == (False, 2)


def test_the_first_problems_are_shown_of_many(finish: Finish, make_run: MakeRun, tmp_path: Path) -> None:
    """And it is said that there may be more."""
    fill(tmp_path / "runs.db", make_run, 200)
    with closing(apsw.Connection(str(tmp_path / "runs.db"))) as connection:
        connection.execute("UPDATE runs SET status = 'odd'")
    ended = finish("check", "--db", "runs.db")
    assert len(ended.stderr.splitlines()) == 102
    assert "these are the first 100 problems" in ended.stderr


def test_what_is_no_database_is_said(finish: Finish, tmp_path: Path) -> None:
    """A missing file is wrong usage, and none is made; a file of a newer runsink is neither sound nor damaged."""
    ended = finish("check", "--db", "missing.db")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "missing.db: there is no such file" in ended.stderr
    assert list(tmp_path.iterdir()) == []
    ended = finish("check", "--db", "mysql://host/name")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "begins with postgresql://" in ended.stderr


def test_a_running_server_is_not_in_the_way(finish: Finish, serve: Serve, make_run: MakeRun, tmp_path: Path) -> None:
    """What it has acknowledged is counted, and it goes on."""
    with serve("--port", "0", "--db", "runs.db") as served:
        assert served.api.lenient([make_run() for _ in range(RUNS)]).status == 201
        found = json.loads(finish("check", "--db", "runs.db", "--json").stdout)
        assert (found["healthy"], found["runs"]) == (True, RUNS)
        assert found["wal_bytes"] > 0
        assert served.api.lenient([make_run()]).status == 201
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs.db"]
