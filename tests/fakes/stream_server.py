"""A small server of streams, jobs and exports, on a real socket over a store in memory.

It does what the contract says and no more: one chunk after the other is committed before it counts.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import attrs

from adapters.memory import MemoryStore
from adapters.system_clock import SystemClock
from adapters.wire.decode import Decoder
from adapters.wire.encode import encode
from adapters.wire.json_text import NotJsonError
from adapters.wire.structure import Structurer
from core.errors import EveryRunRefusedError, RunsinkError
from core.model.batch import Candidate, RefusedRun
from core.model.limits import Limits
from core.model.listing import Cursor, PageRequest, RunFilter
from core.model.validation_error import ValidationError
from core.use_cases.ingest import ingest_lenient

MAX_LISTED = 1000


@attrs.define
class Account:
    """What became of a stream so far, as the contract writes it."""

    total: int = 0
    created: int = 0
    existing: int = 0
    failed: int = 0
    last_line: int = 0
    errors: list[dict[str, Any]] = attrs.field(factory=list)
    errors_omitted: int = 0
    conflicts: list[dict[str, Any]] = attrs.field(factory=list)
    conflicts_omitted: int = 0

    @property
    def progress(self) -> dict[str, int]:
        """The line after a chunk."""
        return {name: getattr(self, name) for name in ("last_line", "total", "created", "existing", "failed")}


class FakeServer:
    """The state behind the handlers. ``chunk_runs`` is at most that of the contract, so that tests need few runs."""

    def __init__(self, chunk_runs: int) -> None:
        self.url = ""
        self.chunk_runs = chunk_runs
        self.store = MemoryStore()
        self.requests: list[tuple[str, str]] = []
        self.headers: list[Message] = []
        self.cut_exports = False
        self.job_gate = Event()
        self.job_gate.set()
        self.jobs: dict[str, dict[str, Any]] = {}
        self._structurer, self._clock, self._lock = Structurer(), SystemClock(), Lock()
        self._decoder = Decoder(self._structurer, Limits())

    def stored(self) -> list[str]:
        """The keys of all runs, oldest first."""
        return [json.loads(line)["event_id"] for line in self.export(())]

    def export(self, pairs: Any) -> Iterator[bytes]:
        """All matching runs, a line each, oldest first."""
        which: RunFilter = self._structurer.run_filter(dict(pairs))
        after: Cursor | None = None
        while True:
            with self.store.reader() as runs:
                page = runs.page(which, PageRequest(limit=1000, cursor=after, counted=False, oldest_first=True))
            yield from (encode(run) + b"\n" for run in page.runs)
            after = page.next_cursor
            if after is None:
                return

    def take(self, lines: Iterator[bytes]) -> Iterator[Account]:
        """Take a stream; give its account after each chunk, and once more at its end."""
        account, chunk, number = Account(), [], 0
        for number, line in enumerate(lines, 1):
            if line.strip():
                chunk.append(self._candidate(line, number))
            if len(chunk) == self.chunk_runs:
                self._commit(chunk, account, number)
                yield account
                chunk = []
        self._commit(chunk, account, number)
        yield account

    def run_job(self, job_id: str, lines: list[bytes]) -> None:
        """Work through a job."""
        job = self.jobs[job_id]
        self.job_gate.wait()
        job["state"] = "running"
        for account in self.take(iter(lines)):
            job.update(attrs.asdict(account))
        job.update(state="succeeded", bytes_done=job["bytes_total"], finished_at=self._clock.now())

    def _candidate(self, line: bytes, number: int) -> Candidate:
        try:
            return self._decoder.run(line, self._clock.now())
        except NotJsonError as error:
            return RefusedRun(number, None, None, (ValidationError(None, str(error)),))

    def _commit(self, chunk: list[Candidate], account: Account, last_line: int) -> None:
        first = last_line - len(chunk) + 1  # no test of what is named has blank lines within a chunk
        if chunk:
            with self._lock, self.store.unit_of_work() as work:
                try:
                    result = ingest_lenient(chunk, work, None)
                except EveryRunRefusedError as error:
                    result = error.result
                work.commit()
            for name in ("total", "created", "existing", "failed"):
                setattr(account, name, getattr(account, name) + getattr(result, name))
            places = {id(candidate): first + place for place, candidate in enumerate(chunk)}
            errors = [
                {
                    "line": places[id(refused)],
                    "event_id": refused.event_id,
                    "run_id": refused.run_id,
                    "field": error.field,
                    "error": str(error),
                    "retryable": False,
                }
                for refused in result.refused
                for error in refused.errors
            ]
            room = MAX_LISTED - len(account.errors)
            account.errors += errors[:room]
            account.errors_omitted += len(errors[room:])
            account.conflicts += [
                {"line": first + found.index, "event_id": found.event_id, "fields": list(found.fields)}
                for found in result.conflicts
            ]
        account.last_line = last_line


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeServer

    def do_POST(self) -> None:
        """Take a stream, or spool it."""
        self._note()
        if urlsplit(self.path).path != "/api/v1/runs/stream":
            self._answer(404, {"detail": "not here"})
            return
        lines = _lines(_body(self.rfile, self.headers))
        if self.headers.get("Prefer") == "respond-async":
            self._spool(list(lines))
        elif self.headers.get("Accept") == "application/x-ndjson":
            self._begin("application/x-ndjson")
            account = None
            for account in self.fake.take(lines):
                self._chunk(account.progress)
            assert account is not None
            self._chunk(attrs.asdict(account))
            self.wfile.write(b"0\r\n\r\n")
        else:
            *_, account = self.fake.take(lines)
            self._answer(200, attrs.asdict(account))

    def do_GET(self) -> None:
        """Show a job, or export."""
        self._note()
        parts = urlsplit(self.path)
        if parts.path.startswith("/api/v1/jobs/"):
            job = self.fake.jobs.get(parts.path.rpartition("/")[2])
            self._answer(200, job) if job else self._answer(404, {"detail": "Job not found"})
        elif parts.path == "/api/v1/export":
            query = dict(parse_qsl(parts.query))
            form = query.pop("format", "ndjson")
            self._export(query, form)
        else:
            self._answer(404, {"detail": "not here"})

    def _export(self, query: dict[str, str], form: str) -> None:
        try:
            lines = list(self.fake.export(query.items()))
        except RunsinkError as error:
            self._answer(422, {"detail": [{"loc": ["query"], "msg": str(error), "type": "value_error"}]})
            return
        self._begin("text/csv" if form == "csv" else "application/x-ndjson")
        for line in lines:
            self._raw_chunk(line if form == "ndjson" else json.loads(line)["event_id"].encode() + b"\r\n")
        if self.fake.cut_exports:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def _spool(self, lines: list[bytes]) -> None:
        job_id = str(uuid4())
        size = sum(len(line) + 1 for line in lines)
        job = {"job_id": job_id, "state": "queued", "bytes_done": 0, "bytes_total": size, "detail": None}
        self.fake.jobs[job_id] = {**job, **attrs.asdict(Account())}
        Thread(target=self.fake.run_job, args=(job_id, lines), daemon=True).start()
        self._answer(202, job, Location=f"/api/v1/jobs/{job_id}")

    def _note(self) -> None:
        self.fake.requests.append((self.command, self.path))
        self.fake.headers.append(self.headers)

    def _answer(self, status: int, document: object, **headers: str) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _begin(self, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, document: object) -> None:
        self._raw_chunk(json.dumps(document).encode() + b"\n")

    def _raw_chunk(self, content: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(content), content))

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the name that is called
        """Keep quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about connections that break, for that is what the tests are about."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _body(file: BinaryIO, headers: Message) -> Iterator[bytes]:
    """The body in pieces; raises ``ConnectionError`` if it breaks off."""
    if headers.get("Transfer-Encoding") != "chunked":
        yield file.read(int(headers["Content-Length"]))
        return
    while size := int(_line(file), 16):
        piece = file.read(size)
        if len(piece) < size:
            raise ConnectionError
        yield piece
        _line(file)
    _line(file)


def _line(file: BinaryIO) -> bytes:
    line = file.readline()
    if not line.endswith(b"\n"):
        raise ConnectionError
    return line.strip() or b""


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    begun = b""
    for piece in pieces:
        *whole, begun = (begun + piece).split(b"\n")
        yield from whole
    if begun:
        yield begun


@contextmanager
def running_fake(chunk_runs: int = 10) -> Iterator[FakeServer]:
    """A server on a free port."""
    fake = FakeServer(chunk_runs)
    with _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": fake})) as server:
        fake.url = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield fake
        finally:
            server.shutdown()


__all__ = ["FakeServer", "running_fake"]
