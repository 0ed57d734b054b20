"""Streams and jobs over HTTP, for tests in which something goes wrong on the way."""

import http.client
import json
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from tests.faults import audit
from tests.servers import DEADLINE_SECONDS, Answer, Api

PATH = "/api/v1/runs/stream"
NDJSON = "application/x-ndjson"
ASYNC = {"Prefer": "respond-async"}
FINISHED = {"succeeded", "failed", "cancelled"}


def post(api: Api, body: bytes | Iterable[bytes], headers: Mapping[str, str] | None = None) -> Answer:
    """Send a stream of lines; an iterable body goes out in chunks."""
    return api.request("POST", PATH, body, {"Content-Type": NDJSON, **(headers or {})})


def post_job(api: Api, body: bytes | Iterable[bytes], headers: Mapping[str, str] | None = None) -> str:
    """Have a body accepted as a job; its id."""
    answer = post(api, body, {**ASYNC, **(headers or {})})
    assert answer.status == 202, answer
    return str(answer.body["job_id"])


def job(api: Api, job_id: str) -> dict[str, Any]:
    """A job as the server shows it."""
    answer = api.request("GET", f"/api/v1/jobs/{job_id}")
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.body
    return found


def wait_for_job(api: Api, job_id: str, line: int | None = None) -> dict[str, Any]:
    """Wait until a job is finished, or is past a line."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        shown = job(api, job_id)
        if shown["state"] in FINISHED or (line is not None and shown["last_line"] > line):
            return shown
        assert time.monotonic() < deadline, shown
        time.sleep(0.01)


def counts(shown: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Total, created, existing and failed of a stream, a progress line or a job."""
    return shown["total"], shown["created"], shown["existing"], shown["failed"]


@attrs.frozen
class Sender:
    """A stream that is sent by hand over a socket, in chunks."""

    connection: socket.socket

    @classmethod
    def begin(cls, api: Api, *headers: str, window: int | None = None) -> "Sender":
        """Connect and send the head; a small ``window`` takes few bytes that nobody reads."""
        address = urlsplit(api.url)
        connection = socket.socket()
        if window is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        connection.settimeout(DEADLINE_SECONDS)
        connection.connect((address.hostname, address.port))
        fields = ("Host: localhost", f"Content-Type: {NDJSON}", "Transfer-Encoding: chunked", *headers)
        connection.sendall("\r\n".join([f"POST {PATH} HTTP/1.1", *fields, "", ""]).encode())
        return cls(connection)

    def send(self, piece: bytes) -> None:
        """Send a piece of the body."""
        self.connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))

    def finish(self) -> None:
        """Send the end of the body."""
        self.connection.sendall(b"0\r\n\r\n")

    def answer(self) -> tuple[int, list[dict[str, Any]]]:
        """Read the response: its status, and its one document or all its lines."""
        response = http.client.HTTPResponse(self.connection)
        response.begin()
        return response.status, [json.loads(line) for line in response.read().splitlines()]

    def close(self) -> None:
        """Hang up."""
        self.connection.close()


def stored_ids(database: Path) -> Sequence[str]:
    """The keys of all stored runs; the file is sound and its derived tables follow from the rows."""
    with audit.looked_into(database) as connection:
        assert audit.integrity_errors(connection, thorough=True) == audit.disagreements(connection) == []
        return [key for (key,) in connection.execute("SELECT event_id FROM runs ORDER BY event_id")]
