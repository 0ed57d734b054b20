"""What a server does about memory, in a process of its own, since it is the same for the whole process."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import IO, Any, Final, cast

import pytest

from tests.faults.costs import cost_of

_SERVE: Final = """
import gc, json, sys
from entrypoints.cli import serve as command
from entrypoints.settings import Settings

def announce(service, *, opens):
    port = service.listeners.api[0].getsockname()[1]
    print(json.dumps({"port": port, "spared": gc.get_freeze_count(), "rest": len(gc.get_objects())}), flush=True)
    gc.disable()

command._announce = announce
command.serve(Settings(db=sys.argv[1], port=0), opens=False)
"""

_ROUNDS: Final = 20
"""How many requests are measured, after as many that are not."""

_RUN: Final = {
    "event_id": "event",
    "run_id": "run",
    "agent_name": "agent",
    "job_type": "job",
    "start_time": "2026-01-31T12:00:00Z",
    "output_summary": "x" * 1000,
}
_LONG: Final = b'{"event_id":"' + b"x" * 900_000
_BATCH: Final = "/api/v1/runs/batch"
_STREAM: Final = "/api/v1/runs/stream"


@contextmanager
def _served(directory: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Run a server that never looks for garbage; yield its pid, and what it said of itself."""
    command = [sys.executable, "-c", _SERVE, str(directory / "runs.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process.pid, json.loads(cast(IO[str], process.stdout).readline())
        finally:
            process.terminate()


def _batch(*runs: object) -> bytes:
    return json.dumps({"runs": runs}).encode()


def test_a_server_spares_what_it_consists_of(tmp_path: Path) -> None:
    """A full collection goes through what requests have made, and not through every module and class."""
    with _served(tmp_path) as (_, found):
        assert found["rest"] < found["spared"] / 10


@pytest.mark.parametrize(
    ("path", "content_type", "body", "status"),
    [
        pytest.param(_BATCH, "application/json", _batch(*[_RUN] * 800)[:-1], 400, id="batch that is not JSON"),
        pytest.param(_BATCH, "application/json", _batch(*[_RUN] * 1001), 400, id="batch of too many runs"),
        pytest.param(_BATCH, "application/json", _batch(*[{"extra": _RUN}] * 800), 422, id="batch of refused runs"),
        pytest.param(f"{_BATCH}-transactional", "application/json", _batch(*[_RUN] * 800, {}), 400, id="rolled back"),
        pytest.param("/api/v1/runs", "application/json", _LONG + b'"}', 422, id="refused run"),
        pytest.param("/api/v1/runs", "application/json", _LONG, 400, id="run that is not JSON"),
        pytest.param(_STREAM, "application/json", _LONG + b"\xff", 400, id="stream that is not UTF-8"),
        pytest.param(_STREAM, "application/x-ndjson", _LONG + b"\xff", 400, id="line that is not UTF-8"),
        pytest.param("/v1/traces", "application/json", _LONG, 400, id="spans that are not JSON"),
    ],
)
def test_what_failed_requests_sent_is_freed_at_once(
    tmp_path: Path, path: str, content_type: str, body: bytes, status: int
) -> None:
    """It does not wait for the garbage collector, which runs rarely."""
    with (
        _served(tmp_path) as (pid, found),
        closing(HTTPConnection("127.0.0.1", found["port"], timeout=30)) as connection,
    ):

        def send() -> None:
            connection.request("POST", path, body, {"Content-Type": content_type})
            response = connection.getresponse()
            answer = response.read()
            assert response.status == status, answer

        for _ in range(_ROUNDS):
            send()
        with cost_of(pid) as cost:
            for _ in range(_ROUNDS):
                send()
    assert cost.mebibytes < _ROUNDS * len(body) / 2**20 / 2
