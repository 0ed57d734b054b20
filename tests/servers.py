"""Real servers, in a thread and as processes, and a client for them."""

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from email.message import Message
from functools import cached_property
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import attrs
import pytest

from adapters.prometheus import Exposition, Metrics
from entrypoints.application import build_application
from entrypoints.http.guard.access import build_access
from entrypoints.http.rejections import Reason
from entrypoints.http.server import Backend, start_server
from entrypoints.http.transport.listening import Listeners, listen, url_of
from entrypoints.process.job_service import JobService
from entrypoints.settings import Settings
from tests.documented import Description, Received
from tests.launcher import Command
from tests.logs import complaints_of, secrets_of

MakeRun = Callable[..., dict[str, Any]]

RUNSINK = Path(sys.executable).parent / "runsink"
DESCRIPTION = Description()
"""Judges every response that an ``Api`` receives."""
DEADLINE_SECONDS = 30
"""Only a guard against tests that hang."""

POST_RUN = b"POST /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
"""The head of an upload of one run, for tests that write to a socket; the header fields of its body follow."""


@attrs.frozen
class Answer:
    """A response; ``None`` is no body, and one that is not JSON is a text, or bytes if it is Protocol Buffers.

    Every response has the id of its request; an error has it in its body too, from where it is taken once compared.
    """

    status: int
    headers: Message
    body: Any

    def __attrs_post_init__(self) -> None:
        request_id = self.headers["X-Request-ID"]
        assert request_id
        if self.status >= 400 and self.body and not isinstance(self.body, bytes):
            assert self.body.pop("request_id") == request_id

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Return a batch's counts: total, created, existing, failed."""
        body = self.body
        return body["total"], body["created"], body["existing"], body["failed"]

    @property
    def bad_fields(self) -> set[tuple[int, str | None]]:
        """Return the index and the field of every error of a batch."""
        return {(error["index"], error["field"]) for error in self.body["errors"]}

    @property
    def event_ids(self) -> list[str]:
        """Return the keys of the runs, in order."""
        return [run["event_id"] for run in self.body["runs"]]

    @property
    def locations(self) -> list[list[str | int]]:
        """Return the locations of a 422."""
        return [fault["loc"] for fault in self.body["detail"]]


@attrs.frozen
class Api:
    """A client of one server; every request has its own connection. Thread-safe."""

    url: str

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send exactly this; an iterable body goes out in chunks, without a length."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=DEADLINE_SECONDS)
        try:
            connection.request(method, path, body, dict(headers or {}), encode_chunked=True)
            response = connection.getresponse()
            received = Received(response.status, response.headers, response.read())
            DESCRIPTION.check(method, path, received)
            return Answer(response.status, response.headers, received.document)
        finally:
            connection.close()

    def send(self, method: str, path: str, document: object, **headers: str) -> Answer:
        """Send a document as JSON; ``Content_Type="…"`` and the like add or replace headers."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.request(method, path, body, {"Content-Type": "application/json", **named})

    def upload(self, endpoint: str, runs: object, **headers: str) -> Answer:
        """Upload a batch to ``batch`` or ``batch-transactional``."""
        return self.send("POST", f"/api/v1/runs/{endpoint}", {"runs": runs}, **headers)

    def lenient(self, runs: object, **headers: str) -> Answer:
        """Upload a lenient batch."""
        return self.upload("batch", runs, **headers)

    def atomic(self, runs: object, **headers: str) -> Answer:
        """Upload an atomic batch."""
        return self.upload("batch-transactional", runs, **headers)

    def create(self, run: object) -> Answer:
        """Upload one run."""
        return self.send("POST", "/api/v1/runs", run)

    def patch(self, event_id: str, changes: object) -> Answer:
        """Change a run."""
        return self.send("PATCH", f"/api/v1/runs/{quote(event_id, safe='')}", changes)

    def commit(self, event_id: str, commit: object) -> Answer:
        """Associate a commit with a run."""
        return self.send("POST", f"/api/v1/runs/{quote(event_id, safe='')}/associate-commit", commit)

    def get(self, run_id: str) -> Answer:
        """Get the newest run of a name."""
        return self.request("GET", f"/api/v1/runs/{quote(run_id, safe='')}")

    def find(self, **query: object) -> Answer:
        """Get a page of runs."""
        return self.request("GET", f"/api/v1/runs?{urlencode(query)}")

    def stored(self, event_id: str) -> Any:
        """Return the only run with this key, as listed."""
        (run,) = self.find(event_id=event_id).body["runs"]
        return run


Start = Callable[..., AbstractContextManager[Api]]


@attrs.define(slots=False)
class Served:
    """A ``runsink serve`` process; ``log`` is what it wrote to stderr, once it was waited for."""

    process: "subprocess.Popen[str]"
    directory: Path = Path()
    secrets: Callable[[], Iterable[str]] = tuple
    log: str = ""

    @cached_property
    def first_line(self) -> str:
        """Return the line printed once the process listens; fail if there is any other."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("runsink listens on http://"):
            self.process.kill()
            pytest.fail(f"{line}{self.process.communicate()[1]}")
        return line

    @cached_property
    def api(self) -> Api:
        """Return a client, as soon as the process listens."""
        return Api(self.first_line.removeprefix("runsink listens on ").partition(",")[0])

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Send the signal once the process listens; return its exit status and its complaints."""
        assert self.first_line
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        """Wait for the process to end; return its exit status, and what its log says at ``warning`` and above."""
        _, self.log = self.process.communicate(timeout=DEADLINE_SECONDS)
        return self.process.returncode, complaints_of(self.log, self.secrets())

    def next_complaint(self) -> str:
        """Wait for the next complaint of the process and return it."""
        assert self.process.stderr is not None
        while not (complaint := complaints_of(self.process.stderr.readline(), self.secrets())):
            assert self.process.poll() is None
        return complaint


Serve = Callable[..., AbstractContextManager[Served]]
Finish = Callable[..., "subprocess.CompletedProcess[str]"]


@contextmanager
def running_server(settings: Settings) -> Iterator[Api]:
    """Run a server in its own thread, for the duration of the block."""
    access = build_access(settings)
    metrics = Metrics("test", Reason)
    application = build_application(settings, metrics)
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="server under test")
    thread.start()
    try:
        listeners = Listeners(listen(settings.host, settings.port))
        if settings.metrics_port is not None:
            listeners = attrs.evolve(listeners, metrics=listen(settings.host, settings.metrics_port))
        url = url_of(listeners.api)
        jobs = JobService(application, settings)
        backend = Backend(application, jobs, Exposition(metrics))
        starting = start_server(backend, settings, access, listeners)
        server = asyncio.run_coroutine_threadsafe(starting, loop).result()
        try:
            yield Api(url)
        finally:
            asyncio.run_coroutine_threadsafe(server.close(), loop).result()
            asyncio.run_coroutine_threadsafe(_cancel_the_rest(), loop).result()
            jobs.close(None)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        application.close()


async def _cancel_the_rest() -> None:
    """End what connections that were aborted still do, as ``asyncio.run`` does."""
    if rest := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in rest:
            task.cancel()
        await asyncio.wait(rest)


def own_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a child: ours, without runsink settings but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RUNSINK_")}
    return {**kept, **settings}


@contextmanager
def serving_process(
    options: Sequence[str],
    directory: Path,
    environment: Mapping[str, str],
    start: Callable[..., "subprocess.Popen[str]"] = Command,
) -> Iterator[Served]:
    """A ``runsink serve`` process, not waited for; unless the block ends it, SIGTERM does, with 0 and in silence.

    ``start`` is ``installed_command`` where something has to be there before modules are imported.
    """
    with start(
        [RUNSINK, "serve", *options],
        cwd=directory,
        env=own_environment(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        served = Served(process, directory, lambda: secrets_of(options, environment, directory))
        try:
            yield served
            if process.poll() is None:
                assert served.end() == (0, "")
        finally:
            process.kill()


def installed_command(args: Sequence[str | Path], **options: Any) -> "subprocess.Popen[str]":
    """Start the installed command in an interpreter of its own."""
    return subprocess.Popen(args, text=True, **options)
