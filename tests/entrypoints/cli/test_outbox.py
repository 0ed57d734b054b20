"""``runsink outbox flush`` as a process, against a real server."""

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.servers import DEADLINE_SECONDS, RUNSINK, Api, Finish, MakeRun, Start, own_environment

TOKEN = "RUNSINK_TOKEN"
Append = Callable[..., None]


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    """Where the clients write."""
    return tmp_path / "telemetry_outbox.jsonl"


@pytest.fixture
def append(outbox: Path) -> Append:
    """Append an entry, as a client does."""

    def append_entry(rest: str, payload: Any, method: str = "POST", prefix: str = "") -> None:
        entry = {"endpoint": f"{prefix}/api/v1/runs{rest}", "method": method, "payload": payload, "timestamp": 1.5}
        with outbox.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    return append_entry


def test_everything_is_sent_in_order(
    server: Api, finish: Finish, outbox: Path, append: Append, make_run: MakeRun
) -> None:
    """Runs, changes and commits; the file is gone afterwards."""
    for number in range(3):
        append("", make_run(event_id=f"e-{number}", run_id=f"r-{number}"), prefix="http://elsewhere:1")
        append(f"/e-{number}", {"status": "failed", "duration_ms": 1}, "PATCH")
        append(f"/e-{number}", {"status": "success", "duration_ms": 2}, "PATCH")
        append(f"/e-{number}/associate-commit", {"commit_hash": "abcdef0", "commit_source": "ci"})
    append("/batch", {"runs": [make_run(event_id="e-3")]})
    done = finish("outbox", "flush", outbox.name, "--url", server.url, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert (told["sent"], told["created"], told["updated"], told["bytes_left"]) == (13, 3, 10, 0)
    assert not outbox.exists()
    for number in range(3):
        stored = server.stored(f"e-{number}")
        assert (stored["status"], stored["duration_ms"], stored["commit_hash"]) == ("success", 2, "abcdef0")
    assert server.find().body["total"] == 4


def test_change_written_before_its_run_is_sent_behind_it(
    server: Api, finish: Finish, outbox: Path, append: Append, make_run: MakeRun
) -> None:
    """Two threads of a client may append in either order."""
    append("/e-1", {"status": "success"}, "PATCH")
    append("", make_run(event_id="e-1"))
    assert finish("outbox", "flush", outbox.name, "--url", server.url).returncode == 0
    assert server.stored("e-1")["status"] == "success"


def test_rejected_entries_are_kept_apart(
    server: Api, finish: Finish, outbox: Path, append: Append, make_run: MakeRun
) -> None:
    """With the reason; what is good is stored, and a cut off line stops nothing."""
    append("", make_run(event_id="good"))
    append("", make_run(event_id="bad", status="lost"))
    append("/missing", {"status": "success"}, "PATCH")
    append("/good", {"agent_name": "other"}, "PATCH")
    with outbox.open("a") as file:
        file.write('{"endpoint": "/api/v1/ru')
    done = finish("outbox", "flush", outbox.name, "--url", server.url)
    assert done.returncode == 1
    assert done.stdout.splitlines()[1].split() == ["1", "1", "0", "0", "4", "0"]
    assert "telemetry_outbox.jsonl.rejected" in done.stderr
    records = [json.loads(line) for line in (outbox.with_name(f"{outbox.name}.rejected")).read_text().splitlines()]
    assert sorted(record.get("status", 0) for record in records) == [0, 0, 404, 422]
    assert all(record["error"] for record in records)
    assert not outbox.exists()
    assert server.stored("good")["agent_name"] == "translator"


def test_run_that_spoils_its_batch_is_found(
    server: Api, finish: Finish, outbox: Path, append: Append, make_run: MakeRun
) -> None:
    """What makes the server refuse the whole batch is rejected alone: the batch is sent in halves."""
    for number in range(5):
        append("", make_run(event_id=f"e-{number}"))
    append("", make_run(event_id="many", context_json={"n": [0] * 600_000}))
    done = finish("outbox", "flush", outbox.name, "--url", server.url)
    assert done.returncode == 1, done.stderr
    assert server.find().body["total"] == 5
    (record,) = outbox.with_name(f"{outbox.name}.rejected").read_text().splitlines()
    assert json.loads(record)["status"] == 413


def test_unreachable_server_leaves_the_file_as_it_was(
    finish: Finish, outbox: Path, append: Append, make_run: MakeRun, tmp_path: Path
) -> None:
    """Status 75, and nothing beside the file."""
    append("", make_run())
    before = outbox.read_bytes()
    done = finish("outbox", "flush", outbox.name, "--url", "http://127.0.0.1:1", "--retry-seconds", "0")
    assert done.returncode == 75
    assert "cannot reach http://127.0.0.1:1" in done.stderr
    assert outbox.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [outbox.name]


def test_interrupted_flush_leaves_the_file_as_it_was(outbox: Path, append: Append, make_run: MakeRun) -> None:
    """Ctrl-C while the server cannot be reached: status 130, and what was not acknowledged is put back."""
    append("", make_run())
    before = outbox.read_bytes()
    with subprocess.Popen(
        [RUNSINK, "outbox", "flush", str(outbox), "--url", "http://127.0.0.1:1"],
        env=own_environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        assert b"trying again" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert b"interrupted" in process.communicate(timeout=DEADLINE_SECONDS)[1]
    assert process.returncode == 130
    assert outbox.read_bytes() == before


def test_unknown_token_ends_the_flush(
    finish: Finish, outbox: Path, append: Append, tmp_path: Path, start: Start
) -> None:
    """It would meet every entry, so none is rejected; with the right one the entry is judged."""
    tokens = tmp_path / "tokens"
    tokens.write_text("client write 0123456789abcdef\n")
    tokens.chmod(0o600)
    append("", {"event_id": "e-1"})
    with start(token_file=tokens) as server:
        done = finish("outbox", "flush", outbox.name, "--url", server.url, **{TOKEN: "another-0123456789"})
        assert done.returncode == 2
        assert "401" in done.stderr
        assert outbox.exists()
        done = finish("outbox", "flush", outbox.name, RUNSINK_URL=server.url, **{TOKEN: "0123456789abcdef"})
        assert (done.returncode, outbox.exists()) == (1, False)


def test_wrong_url_rejects_nothing(server: Api, finish: Finish, outbox: Path, append: Append) -> None:
    """A 404 that does not speak of the run says nothing of the entry."""
    append("/e-1", {"status": "success"}, "PATCH")
    done = finish("outbox", "flush", outbox.name, "--url", f"{server.url}/elsewhere")
    assert done.returncode == 2
    assert "404" in done.stderr
    assert outbox.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.jsonl"], "no such file"),
        (["missing/missing.jsonl"], "no such file"),
        (["x", "--url", "ftp://127.0.0.1"], "neither http nor https"),
        (["x", "--retry-seconds", "-1"], "-1"),
        ([], "FILE"),
    ],
)
def test_wrong_usage(finish: Finish, arguments: list[str], words: str) -> None:
    """Status 2, and why."""
    done = finish("outbox", "flush", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
