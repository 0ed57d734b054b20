"""``runsink prune`` as a process: what it says, what it deletes, and what is rejected afterwards."""

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest
from click.testing import CliRunner, Result

from adapters.sqlite import connection as sqlite_connection
from entrypoints.cli import prune as prune_module
from entrypoints.cli.commands.prune import prune
from entrypoints.databases import open_database
from entrypoints.embedded import open_store
from tests.contract.samples import all_keys
from tests.servers import Finish, MakeRun, Serve

RUNS = 2400
HORIZON = "2026-01-31T12:00:20Z"


def fill(database: str, make_run: MakeRun) -> None:
    """A store with runs that start in 40 seconds, half of them before the horizon."""
    runs = [
        make_run(event_id=f"e-{number}", start_time=f"2026-01-31T12:00:{number % 40:02}Z") for number in range(RUNS)
    ]
    with open_store(database) as store:
        for start in range(0, RUNS, 800):
            store.ingest_atomic(runs[start : start + 800])


@pytest.fixture
def db(tmp_path: Path, make_run: MakeRun) -> Path:
    """A file with runs; the commands find it by default."""
    path = tmp_path / "runsink.db"
    fill(str(path), make_run)
    return path


def stored(database: object) -> set[str]:
    """The keys of a database, if they are fewer than a thousand."""
    with closing(open_database(str(database))) as store:
        return all_keys(store)


def test_nothing_is_deleted_without_yes(finish: Finish, db: Path) -> None:
    """It says how many runs would go, of how many, and which horizon is in force."""
    before = db.read_bytes()
    done = finish("prune", "--before", HORIZON)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"1,200 of 2,400 runs start before {HORIZON} and would be deleted" in done.stdout
    assert "retention horizon in force: none" in done.stdout
    assert db.read_bytes() == before


def test_yes_deletes_and_returns_space(finish: Finish, db: Path, make_run: MakeRun) -> None:
    """What starts before the date is gone, also for a retry, and the file is smaller."""
    size = db.stat().st_size
    done = finish("prune", "--before", HORIZON, "--yes", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "before": HORIZON,
        "horizon": HORIZON,
        "dry_run": False,
        "runs": 1200,
        "total": 2400,
        "deleted": 1200,
        "bytes_returned": size - db.stat().st_size,
        "bytes_free": 0,
    }
    assert db.stat().st_size < size
    with open_store(db) as store:
        result = store.ingest_lenient(
            [make_run(event_id="e-1", start_time="2026-01-31T12:00:01Z"), make_run(start_time=HORIZON)]
        )
        assert (result.created, result.failed, store.page().total) == (1, 1, 1201)


def test_it_goes_on_and_never_back(finish: Finish, db: Path) -> None:
    """The same date again deletes nothing more, a later one the rest, and an earlier one is refused."""
    assert finish("prune", "--before", HORIZON, "--yes").returncode == 0
    assert "\n0 runs" not in finish("prune", "--before", HORIZON, "--yes").stdout
    earlier = finish("prune", "--before", "2026-01-31", "--yes")
    assert (earlier.returncode, earlier.stdout) == (2, "")
    assert f"is {HORIZON} already and never goes back to 2026-01-31T00:00:00Z" in earlier.stderr
    assert "1,200 runs deleted" in finish("prune", "--before", "2026-02-01", "--yes").stdout
    assert stored(db) == set()


def test_a_date_in_the_future_is_refused(finish: Finish, db: Path) -> None:
    """A mistyped year does not delete everything."""
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    for options in ([], ["--yes"]):
        done = finish("prune", "--before", tomorrow, *options)
        assert (done.returncode, "is in the future" in done.stderr) == (2, True)
    with open_store(db) as store:
        assert store.page().total == RUNS


@pytest.mark.parametrize("date", ["", "yesterday", "2026-02-30", "2026-01-31T12:00:00", "20260131", "2026-W05-6"])
def test_what_is_no_date_is_wrong_usage(finish: Finish, db: Path, date: str) -> None:
    """A time without an offset is no instant."""
    done = finish("prune", "--before", date, "--db", str(db))
    assert (done.returncode, "neither a date" in done.stderr) == (2, True)


def test_a_file_that_is_missing_is_not_created(finish: Finish, tmp_path: Path) -> None:
    """Neither is one that is no database changed."""
    (tmp_path / "text").write_text("text " * 100)
    for name, status, told in (("missing.db", 2, "there is no such file"), ("text", 1, "not an SQLite database")):
        done = finish("prune", "--before", HORIZON, "--db", name, "--yes")
        assert (done.returncode, told in done.stderr) == (status, True)
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_the_database_is_that_of_the_settings(finish: Finish, tmp_path: Path, make_run: MakeRun) -> None:
    """Without --db it is the one that ``serve`` would use; a setting that is wrong is wrong usage."""
    fill(str(tmp_path / "other.db"), make_run)
    assert finish("prune", "--before", HORIZON, RUNSINK_DB="other.db").returncode == 0
    (tmp_path / "runsink.toml").write_text('[runsink]\ndb = "other.db"\n')
    assert "1,200 of 2,400" in finish("prune", "--before", HORIZON).stdout
    (tmp_path / "runsink.toml").write_text("[runsink]\ndb = 1\n")
    assert finish("prune", "--before", HORIZON).returncode == 2


def test_a_server_goes_on_meanwhile(serve: Serve, finish: Finish, db: Path, make_run: MakeRun) -> None:
    """It rejects old runs at once, shows the horizon, and keeps the free pages for later runs."""
    with serve("--port", "0", "--db", str(db)) as served:
        assert served.api.request("GET", "/api/v1/limits").body["retention_horizon"] is None
        done = finish("prune", "--before", HORIZON, "--yes")
        assert done.returncode == 0
        assert "bytes of the file are free for later runs" in done.stdout
        assert served.api.request("GET", "/api/v1/limits").body["retention_horizon"] == HORIZON
        old = make_run(event_id="e-1", start_time="2026-01-31T12:00:01Z")
        answer = served.api.lenient([old, make_run(start_time=HORIZON)])
        assert (answer.status, answer.counts, answer.bad_fields) == (500, (2, 1, 0, 1), {(0, "start_time")})
        assert answer.body["errors"][0]["error"] == f"start_time is before the retention horizon {HORIZON}"
        assert answer.body["errors"][0]["retryable"] is False
        assert served.api.find(limit=1).body["total"] == RUNS // 2 + 1


@pytest.fixture
def run_here(db: Path) -> Callable[..., Result]:
    """Return a function that runs the command in this process."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(prune, ["--db", str(db), *arguments])

    return run


def test_a_store_that_stays_busy_is_75(
    run_here: Callable[..., Result], db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command may succeed later."""
    monkeypatch.setattr(sqlite_connection, "BUSY_TIMEOUT_MS", 10)
    with closing(apsw.Connection(str(db))) as other:
        other.execute("BEGIN IMMEDIATE")
        done = run_here("--before", HORIZON, "--yes")
    assert (done.exit_code, "run the same command again" in done.output) == (75, True)


def test_an_interrupted_prune_is_finished_by_the_next(
    run_here: Callable[..., Result], db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The horizon is in force from the beginning, and what was deleted stays deleted."""

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(prune_module.time, "sleep", interrupt)
    done = run_here("--before", HORIZON, "--yes")
    assert (done.exit_code, "interrupted after 500 runs" in done.output) == (130, True)
    with open_store(db) as store:
        assert store.page().total == RUNS - 500
    monkeypatch.undo()
    told: Any = json.loads(run_here("--before", HORIZON, "--yes", "--json").output)
    assert (told["runs"], told["deleted"]) == (700, 700)


def test_the_wal_stays_small(
    run_here: Callable[..., Result], db: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much is deleted, the WAL is checkpointed in between."""
    with open_store(db) as store:
        for _ in range(4):
            store.ingest_atomic([make_run(error_details="x" * 100_000) for _ in range(100)])
    wal, sizes = db.with_name(f"{db.name}-wal"), []
    monkeypatch.setattr(prune_module.time, "sleep", lambda _: sizes.append(wal.stat().st_size))
    done = run_here("--before", "2026-02-01", "--yes", "--json")
    assert json.loads(done.output)["deleted"] == RUNS + 400
    assert len(sizes) > 40
    assert max(sizes) < 32 * 1024 * 1024


def test_counting_that_takes_too_long_is_left_out(
    run_here: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number is not known then; everything else works."""

    def give_up(*_: object) -> int:
        raise prune_module.StoreTimeoutError

    monkeypatch.setattr(prune_module, "count_before", give_up)
    assert "too many to count in time, of 2,400 runs start before" in run_here("--before", HORIZON).output
    told = json.loads(run_here("--before", HORIZON, "--yes", "--json").output)
    assert (told["runs"], told["deleted"]) == (None, 1200)


@pytest.mark.usefixtures("db")
def test_check_reports_the_horizon(finish: Finish) -> None:
    """And finds nothing wrong with a store that was pruned."""
    assert json.loads(finish("check", "--json").stdout)["retention_horizon"] is None
    pruned = json.loads(finish("prune", "--before", HORIZON, "--yes", "--json").stdout)
    checked = finish("check", "--json")
    report = json.loads(checked.stdout)
    assert (checked.returncode, report["runs_before_horizon"]) == (0, 0)
    assert report["retention_horizon"] == pruned["horizon"]
