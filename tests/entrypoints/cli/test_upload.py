"""``runsink upload`` as a process."""

import gzip
import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.entrypoints.cli.conftest import Disturb, StreamingServer
from tests.fakes.unreliable_proxy import Cut, response
from tests.servers import DEADLINE_SECONDS, RUNSINK, Api, Finish, MakeRun, Start, own_environment

Runs = list[dict[str, Any]]


@pytest.fixture
def runs(make_run: MakeRun) -> Runs:
    """Thirty-five good runs: three chunks and a half."""
    return [make_run(event_id=f"e-{number:02}", run_id=f"r-{number}") for number in range(35)]


def ndjson(runs: Runs) -> bytes:
    """A line a run."""
    return b"".join(json.dumps(run).encode() + b"\n" for run in runs)


def sorted_keys(runs: Runs) -> list[str]:
    """The keys of runs that all start at once, as a store lists them."""
    return [run["event_id"] for run in runs]


FORMS: dict[str, Callable[[Runs], bytes]] = {
    "ndjson": ndjson,
    "crlf": lambda runs: ndjson(runs).replace(b"\n", b"\r\n"),
    "array": lambda runs: json.dumps(runs).encode(),
    "document": lambda runs: json.dumps({"runs": runs}, indent=2).encode(),
    "gzip": lambda runs: gzip.compress(ndjson(runs)),
    "zstd of an array": lambda runs: zstandard.compress(json.dumps(runs).encode()),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", [[], ["--job"]], ids=["stream", "job"])
def test_file_of_any_form(  # noqa: PLR0913, PLR0917 - fixtures
    streaming_server: StreamingServer, finish: Finish, tmp_path: Path, runs: Runs, form: str, mode: list[str]
) -> None:
    """It is told by its content, and every run arrives, in order."""
    (tmp_path / "runs").write_bytes(FORMS[form](runs))
    done = finish("upload", "runs", *mode, "--url", streaming_server.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["file", "total", "created", "existing", "failed"],
        ["runs", "35", "35", "0", "0"],
    ]
    assert streaming_server.stored() == sorted_keys(runs)


def test_standard_input(streaming_server: StreamingServer, tmp_path: Path, runs: Runs) -> None:
    """It is read as a file is, and its rejected runs go to a file of that name."""
    done = subprocess.run(
        [RUNSINK, "upload", "-", "--json"],
        input=gzip.compress(ndjson([*runs, {}])),
        cwd=tmp_path,
        env=own_environment({"RUNSINK_URL": streaming_server.url}),
        capture_output=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    told = json.loads(done.stdout)
    assert (done.returncode, told["total"], told["failed"]) == (1, 36, 1)
    assert told["files"][0]["rejected_file"] == "stdin.rejected.ndjson"
    assert json.loads((tmp_path / "stdin.rejected.ndjson").read_bytes())["line"] == 36


@pytest.mark.parametrize("mode", [[], ["--job"]], ids=["stream", "job"])
def test_rejected_runs_are_kept_apart(
    streaming_server: StreamingServer, finish: Finish, tmp_path: Path, runs: Runs, mode: list[str]
) -> None:
    """With the numbers of their lines and their errors; the others are stored."""
    lines = ndjson(runs).splitlines(keepends=True)
    lines[4] = b'{"event_id": 1}\n'
    lines[20] = b"not JSON \xc3\xa9\n"
    (tmp_path / "runs").write_bytes(b"".join(lines))
    done = finish("upload", "runs", *mode, "--url", streaming_server.url)
    assert done.returncode == 1
    assert "runs.rejected.ndjson" in done.stderr
    assert len(streaming_server.stored()) == 33
    first, second = map(json.loads, (tmp_path / "runs.rejected.ndjson").read_bytes().splitlines())
    assert (first["line"], first["run"]) == (5, {"event_id": 1})
    assert {error["field"] for error in first["errors"]} >= {"event_id", "start_time"}
    assert (second["line"], second["text"]) == (21, "not JSON é")


def test_every_rejected_run_is_named(
    streaming_server: StreamingServer, finish: Finish, tmp_path: Path, runs: Runs
) -> None:
    """The server lists a thousand errors; the lines whose errors it leaves out are sent again to hear them."""
    lines = [b"{}\n"] * 900 + [ndjson(runs[:1])] + [b"{}\n"] * 900
    (tmp_path / "runs").write_bytes(b"".join(lines))
    done = finish("upload", "runs", "--url", streaming_server.url, "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["total"], told["created"], told["failed"]) == (1801, 1, 1800)
    records = [json.loads(line) for line in (tmp_path / "runs.rejected.ndjson").read_bytes().splitlines()]
    assert [record["line"] for record in records] == [*range(1, 901), *range(902, 1802)]
    assert {len(record["errors"]) for record in records} == {5}


def test_conflicts_are_told(streaming_server: StreamingServer, finish: Finish, tmp_path: Path, runs: Runs) -> None:
    """They are no errors."""
    (tmp_path / "runs").write_bytes(ndjson([*runs[:3], runs[0] | {"agent_name": "other"}]))
    done = finish("upload", "runs", "--url", streaming_server.url)
    assert done.returncode == 0
    assert "line 4: another run is stored as e-00; it differs in agent_name" in done.stderr


@pytest.mark.parametrize("response_bytes", [1, 8, 11, 12, 20, 100, 200, 300, 400, 600, 700])
@pytest.mark.parametrize("form", ["ndjson", "document"])
def test_broken_connection_is_resumed(  # noqa: PLR0913, PLR0917 - fixtures
    streaming_server: StreamingServer,
    disturb: Disturb,
    finish: Finish,
    tmp_path: Path,
    runs: Runs,
    response_bytes: int,
    form: str,
) -> None:
    """Behind the last line that was acknowledged; what was rejected before the break is named all the same."""
    runs[3] = {"event_id": "bad"}
    (tmp_path / "runs").write_bytes(FORMS[form](runs))
    with disturb(Cut(response_bytes=response_bytes), Cut(response_bytes=response_bytes)) as proxy:
        done = finish("upload", "runs", "--url", proxy.url, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["total"], told["failed"]) == (1, 35, 1), done.stderr
    assert told["created"] + told["existing"] == 34
    assert "trying again" in done.stderr
    assert json.loads((tmp_path / "runs.rejected.ndjson").read_bytes())["line"] == 4
    assert streaming_server.stored() == sorted_keys(runs[:3] + runs[4:])


def test_only_what_is_not_acknowledged_is_sent_again(
    streaming_server: StreamingServer, disturb: Disturb, finish: Finish, tmp_path: Path, runs: Runs
) -> None:
    """After a break, the stream goes on behind the last chunk that was acknowledged."""
    many = [runs[0] | {"event_id": f"many-{number:04}"} for number in range(4500)]
    (tmp_path / "runs").write_bytes(ndjson(many))
    with disturb(Cut(response_bytes=450)) as proxy:
        done = finish("upload", "runs", "--url", proxy.url, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["total"], told["failed"]) == (0, 4500, 0), done.stderr
    assert "trying again" in done.stderr
    assert told["existing"] < 4500 - 1000
    assert streaming_server.stored() == sorted_keys(many)


@pytest.mark.parametrize("mode", [[], ["--job"]], ids=["stream", "job"])
def test_busy_server_is_asked_again(
    disturb: Disturb, finish: Finish, tmp_path: Path, runs: Runs, mode: list[str]
) -> None:
    """When it says so."""
    (tmp_path / "runs").write_bytes(ndjson(runs))
    with disturb(response(503, b'{"detail": "too many streams"}', "Retry-After: 1"), response(429)) as proxy:
        begun = time.monotonic()
        done = finish("upload", "runs", *mode, "--url", proxy.url)
    assert time.monotonic() - begun > 1
    assert (done.returncode, done.stderr.count("trying again")) == (0, 2)
    assert "the server responded 503: too many streams" in done.stderr


@pytest.mark.parametrize("mode", [[], ["--job"], ["--atomic"]], ids=["stream", "job", "atomic"])
def test_unreachable_server(finish: Finish, tmp_path: Path, runs: Runs, mode: list[str]) -> None:
    """Status 75, and what that means for the runs."""
    (tmp_path / "runs").write_bytes(ndjson(runs))
    done = finish("upload", "runs", *mode, "--url", "http://127.0.0.1:1", "--retry-seconds", "0")
    assert done.returncode == 75
    assert "cannot reach http://127.0.0.1:1" in done.stderr
    assert "no line was acknowledged" in done.stderr


@pytest.mark.parametrize(
    ("ending", "words"),
    [(401, "responded 401"), (404, "responded 404"), (200, "no account of a stream")],
)
def test_wrong_server_or_token(  # noqa: PLR0913, PLR0917 - fixtures
    disturb: Disturb, finish: Finish, tmp_path: Path, runs: Runs, ending: int, words: str
) -> None:
    """Is a wrong setting, and not tried again."""
    (tmp_path / "runs").write_bytes(ndjson(runs))
    with disturb(response(ending, b"<html>")) as proxy:
        done = finish("upload", "runs", "--url", proxy.url)
        assert proxy.connections == 1
    assert done.returncode == 2
    assert words in done.stderr


def test_stream_that_the_server_ends_is_told(disturb: Disturb, finish: Finish, tmp_path: Path, runs: Runs) -> None:
    """What was decided before counts; sending the same again would not help."""
    counts = {"total": 2, "created": 2, "existing": 0, "failed": 0, "last_line": 2}
    lists = {"errors": [], "errors_omitted": 0, "conflicts": [], "conflicts_omitted": 0}
    document = {**counts, **lists, "status": 400, "detail": "line 3 is not UTF-8"}
    (tmp_path / "runs").write_bytes(ndjson(runs))
    with disturb(response(200, json.dumps(document).encode() + b"\n")) as proxy:
        done = finish("upload", "runs", "--url", proxy.url)
    assert done.returncode == 1
    assert "line 3 is not UTF-8" in done.stderr
    assert "lines 1 to 2 are decided: 2 runs stored" in done.stderr


def test_lines_that_a_proxy_lost_are_noticed(disturb: Disturb, finish: Finish, tmp_path: Path, runs: Runs) -> None:
    """A response that accounts for fewer lines than were sent is not taken for success, nor counted."""
    counts = {"total": 30, "created": 30, "existing": 0, "failed": 0, "last_line": 30}
    lists = {"errors": [], "errors_omitted": 0, "conflicts": [], "conflicts_omitted": 0}
    (tmp_path / "runs").write_bytes(ndjson(runs))
    with disturb(response(200, json.dumps({**counts, **lists}).encode() + b"\n")) as proxy:
        done = finish("upload", "runs", "--url", proxy.url)
    assert done.returncode == 1
    assert "a part of the lines was lost on the way: 30 arrived of at least 35" in done.stderr
    assert "no line was acknowledged" in done.stderr


@pytest.mark.parametrize("ending", [b"", b"\n\n\r\n", b" \n\t"])
def test_blank_lines_at_the_end_are_not_missed(
    streaming_server: StreamingServer, finish: Finish, tmp_path: Path, runs: Runs, ending: bytes
) -> None:
    """The server counts them as well."""
    (tmp_path / "runs").write_bytes(ndjson(runs) + ending)
    done = finish("upload", "runs", "--url", streaming_server.url)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("mode", [[], ["--job"]], ids=["stream", "job"])
def test_damaged_file_is_uploaded_as_far_as_it_goes(
    streaming_server: StreamingServer, finish: Finish, tmp_path: Path, runs: Runs, mode: list[str]
) -> None:
    """Status 1, and why."""
    (tmp_path / "runs").write_bytes(gzip.compress(ndjson(runs))[:-20])
    done = finish("upload", "runs", *mode, "--url", streaming_server.url)
    assert done.returncode == 1
    assert "the gzip file breaks off" in done.stderr
    stored = streaming_server.stored()
    assert stored == sorted_keys(runs)[: len(stored)]
    assert stored


def test_interrupted_upload_says_what_is_stored(streaming_server: StreamingServer, tmp_path: Path, runs: Runs) -> None:
    """Ctrl-C ends it with 130, after the lines that were acknowledged."""
    with subprocess.Popen(
        [RUNSINK, "upload", "-", "--url", streaming_server.url],
        cwd=tmp_path,
        env=own_environment({}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(ndjson(runs[:25]))
        process.stdin.flush()
        deadline = time.monotonic() + DEADLINE_SECONDS
        while len(streaming_server.stored()) < 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 130
    assert b"stdin: interrupted" in complaints
    assert b"nothing is stored twice" in complaints


def test_atomic_batches(server: Api, finish: Finish, tmp_path: Path, make_run: MakeRun) -> None:
    """Each is stored whole, or nothing of it; what is not stored is named with the reason."""
    runs = [make_run(event_id=f"e-{number}") for number in range(2500)]
    lines = ndjson(runs).splitlines(keepends=True)
    lines[1500] = b"{}\n"
    lines[1600] = b"{half\n"
    (tmp_path / "runs").write_bytes(b"".join(lines))
    done = finish("upload", "runs", "--atomic", "--url", server.url, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["total"], told["created"], told["failed"]) == (1, 2500, 1500, 1000)
    assert server.find(limit=1).body["total"] == 1500
    assert "in 3 batches, each of which is stored whole or not at all" in done.stderr
    assert "998 good runs are not stored" in done.stderr
    records = {}
    for line in (tmp_path / "runs.rejected.ndjson").read_bytes().splitlines():
        record = json.loads(line)
        records[record["line"]] = record
    assert set(records) == set(range(1001, 2001))
    assert records[1501]["errors"][0]["error"] == "event_id is required"
    assert "not JSON" in records[1601]["errors"][0]["error"]
    assert records[1601]["text"] == "{half"
    assert records[1001]["errors"][0]["error"] == "rolled back with its batch, because of line 1501"


def test_several_files_are_summed_up(
    streaming_server: StreamingServer, finish: Finish, tmp_path: Path, runs: Runs
) -> None:
    """A rejected run in one does not keep the others back."""
    (tmp_path / "a").write_bytes(ndjson([*runs[:3], {}]))
    (tmp_path / "b").write_bytes(ndjson(runs[2:5]))
    done = finish("upload", "a", "b", "--url", streaming_server.url)
    assert done.returncode == 1
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [
        ["a", "4", "3", "0", "1"],
        ["b", "3", "2", "1", "0"],
        ["all", "7", "5", "1", "1"],
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "FILE"),
        (["missing"], "does not exist"),
        (["a", "--atomic", "--job"], "exclude each other"),
        (["a", "a"], "named twice"),
        (["a", "--url", "127.0.0.1:8765"], "like http://127.0.0.1:8765"),
    ],
)
def test_wrong_usage(finish: Finish, tmp_path: Path, arguments: list[str], words: str) -> None:
    """Status 2, and why."""
    (tmp_path / "a").touch()
    done = finish("upload", *arguments)
    assert done.returncode == 2
    assert words in done.stderr


def test_token_of_the_environment_is_sent(start: Start, finish: Finish, tmp_path: Path, runs: Runs) -> None:
    """And no option exists for it."""
    secret = "0123456789abcdef"
    (tmp_path / "tokens").write_text(f"tester write {secret}\n")
    (tmp_path / "tokens").chmod(0o600)
    (tmp_path / "runs").write_bytes(ndjson(runs))
    with start(token_file=tmp_path / "tokens") as api:
        assert finish("upload", "runs", RUNSINK_URL=api.url).returncode == 2
        assert finish("upload", "runs", RUNSINK_URL=api.url, RUNSINK_TOKEN=secret).returncode == 0
    assert "token" not in finish("upload", "--help").stdout.replace("RUNSINK_TOKEN", "").replace("Its token", "")
