"""``runsink export`` as a process, from a server and from a database."""

import csv
import json
import subprocess
from pathlib import Path

import pytest

from entrypoints.embedded import open_store
from tests.entrypoints.cli.conftest import Disturb, StreamingServer
from tests.fakes.unreliable_proxy import Cut, response
from tests.servers import DEADLINE_SECONDS, RUNSINK, Finish, MakeRun, own_environment

RUNS = 2500


@pytest.fixture
def db(tmp_path: Path, make_run: MakeRun) -> Path:
    """A database of many runs, the oldest first by their keys."""
    path = tmp_path / "runs.db"
    runs = [
        make_run(
            event_id=f"e-{number:04}",
            start_time=f"2026-01-31T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z",
        )
        for number in range(RUNS)
    ]
    runs[7] |= {"status": "failure", "output_summary": "=1+1", "metrics_json": {"n": 2**70}, "unknown": "é\n"}
    runs[9] |= {"parent_run_id": "launch-0", "error_details": "a needle"}
    with open_store(path) as store:
        for start in range(0, RUNS, 1000):
            store.ingest_atomic(runs[start : start + 1000])
    return path


@pytest.fixture
def filled_server(streaming_server: StreamingServer, finish: Finish, db: Path) -> StreamingServer:
    """A server with the runs of that database, which were exported and uploaded."""
    assert finish("export", "--db", db.name, "-o", "all.ndjson").returncode == 0
    assert finish("upload", "all.ndjson", "--url", streaming_server.url).returncode == 0
    return streaming_server


def keys(lines: bytes | str) -> list[str]:
    """The keys of exported runs."""
    return [json.loads(line)["event_id"] for line in lines.splitlines()]


ALL = [f"e-{number:04}" for number in range(RUNS)]


def test_database_is_exported_oldest_first(finish: Finish, tmp_path: Path, db: Path) -> None:
    """To a file with the usual mode; nothing else is left beside it."""
    done = finish("export", "--db", db.name, "-o", "out.ndjson")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert keys((tmp_path / "out.ndjson").read_text()) == ALL
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.ndjson", "runs.db"]
    (tmp_path / "usual").touch()
    assert (tmp_path / "out.ndjson").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_export_and_upload_recreate_the_same_runs(
    finish: Finish, tmp_path: Path, filled_server: StreamingServer
) -> None:
    """Apart from the times that are the server's own."""
    assert finish("export", "--url", filled_server.url, "-o", "again.ndjson").returncode == 0
    first, second = [
        [
            {**json.loads(line), "created_at": None, "updated_at": None}
            for line in (tmp_path / name).read_text().splitlines()
        ]
        for name in ("all.ndjson", "again.ndjson")
    ]
    assert first == second
    assert first[7]["metrics_json"] == {"n": 2**70}


def test_filters_choose(finish: Finish, db: Path, filled_server: StreamingServer) -> None:
    """They are those of the list, and mean the same in both places."""
    options = ["--start-time-from", "2026-01-31T00:00:05Z", "--start-time-to", "2026-01-31T00:00:09Z"]
    for source in (["--db", str(db)], ["--url", filled_server.url]):
        assert keys(finish("export", *source, *options).stdout) == ALL[5:10]
        assert keys(finish("export", *source, "--status", "failed").stdout) == ALL[7:8]
        assert keys(finish("export", *source, "--agent-name", "nobody").stdout) == []
        assert keys(finish("export", *source, "--status", "timeout,failure").stdout) == ALL[7:8]
        assert keys(finish("export", *source, "--roots").stdout) == [*ALL[:9], *ALL[10:]]
        assert keys(finish("export", *source, "--q", "NEEDLE").stdout) == ALL[9:10]


def test_csv_of_a_database(finish: Finish, tmp_path: Path, db: Path) -> None:
    """A header and a row a run; what a spreadsheet would evaluate is neutralised."""
    assert finish("export", "--db", db.name, "--format", "csv", "-o", "out.csv").returncode == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["event_id"] for row in rows] == ALL
    assert rows[7]["output_summary"] == "'=1+1"


def test_csv_of_a_server_passes_as_it_is(finish: Finish, filled_server: StreamingServer, tmp_path: Path) -> None:
    """Line ends included."""
    done = finish("export", "--url", filled_server.url, "--format", "csv", "-o", "out.csv")
    assert done.returncode == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        assert [row["event_id"] for row in csv.DictReader(file)] == ALL
    assert (tmp_path / "out.csv").read_bytes().count(b"\r\n") == 1 + len(ALL)


@pytest.mark.usefixtures("filled_server")
def test_export_that_breaks_off_leaves_no_file(finish: Finish, disturb: Disturb, tmp_path: Path) -> None:
    """Without the final chunk it is not complete; what there was before stays."""
    (tmp_path / "out").write_text("before")
    before = set(tmp_path.iterdir())
    with disturb(Cut(response_bytes=2000)) as proxy:
        done = finish("export", "--url", proxy.url, "-o", "out")
    assert done.returncode == 1
    assert "the export is not complete" in done.stderr
    assert (tmp_path / "out").read_text() == "before"
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("response_bytes", [100, 200, 1000, 50_000])
@pytest.mark.usefixtures("filled_server")
def test_connection_that_breaks_is_told(finish: Finish, disturb: Disturb, response_bytes: int) -> None:
    """Also when it breaks in the head of the response."""
    with disturb(Cut(response_bytes=response_bytes)) as proxy:
        done = finish("export", "--url", proxy.url)
    assert done.returncode == 1
    assert "not complete" in done.stderr or "no end" in done.stderr


@pytest.mark.parametrize(("status", "exit_status"), [(401, 2), (404, 2), (422, 2), (500, 75), (507, 75)])
def test_errors_of_the_server(finish: Finish, disturb: Disturb, status: int, exit_status: int) -> None:
    """A wrong setting, or a server that stays busy for longer than it is waited for."""
    with disturb(response(status, b'{"detail": "why"}', "Retry-After: 100")) as proxy:
        done = finish("export", "--url", proxy.url)
    assert done.returncode == exit_status
    assert f"the server responded {status}: why" in done.stderr


@pytest.mark.usefixtures("filled_server")
def test_busy_server_is_asked_again(finish: Finish, disturb: Disturb) -> None:
    """After as long as it says."""
    with disturb(response(503, b'{"detail": "why"}', "Retry-After: 1")) as proxy:
        done = finish("export", "--url", proxy.url)
    assert done.returncode == 0
    assert keys(done.stdout) == ALL


def test_reader_that_stops_is_no_error(tmp_path: Path, db: Path) -> None:
    """As in ``runsink export | head``."""
    with subprocess.Popen(
        [RUNSINK, "export", "--db", str(db)],
        cwd=tmp_path,
        env=own_environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(DEADLINE_SECONDS) == 0


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--db", "missing.db"], 2, "no such file"),
        (["--db", "runs.db", "--status", "lost"], 2, "status"),
        (["--db", "runs.db", "--url", "http://127.0.0.1:1"], 2, "exclude each other"),
        (["--db", "runs.db", "-o", "missing/out"], 1, "No such file"),
        (["--url", "http://127.0.0.1:1"], 75, "cannot reach"),
        (["--format", "xml"], 2, "xml"),
    ],
)
@pytest.mark.usefixtures("db")
def test_what_cannot_be_done(finish: Finish, tmp_path: Path, arguments: list[str], status: int, words: str) -> None:
    """The status and the reason; no database and no file is made."""
    done = finish("export", *arguments)
    assert done.returncode == status
    assert words in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["runs.db"]
