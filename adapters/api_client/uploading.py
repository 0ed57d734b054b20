"""Uploading lines of any number: as a stream that goes on where it broke off, as a job, or as atomic batches."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby, takewhile
from typing import Any, Final, Protocol
from urllib.parse import quote

import attrs

from adapters.api_client.connection import ApiConnection, ApiResponse
from adapters.api_client.errors import ApiError, InvalidResponseError
from adapters.api_client.retry import Attempts, is_retried, parse_retry_after
from adapters.api_client.retrying import (
    Patience,
    PatientConnection,
    describe_detail,
    has_counts,
    parse_object,
)
from core.errors import RunsinkError, ServerUnreachableError

STREAM: Final = "/api/v1/runs/stream"
ATOMIC: Final = "/api/v1/runs/batch-transactional"
JOBS: Final = "/api/v1/jobs"
BATCH_RUNS: Final = 1000
BATCH_BYTES: Final = 8 * 1024 * 1024
_NAMING_BYTES: Final = 4 * 1024 * 1024
_NDJSON: Final = {"Content-Type": "application/x-ndjson"}
_POLL_SECONDS: Final = (0.1, 2.0)
_FINISHED: Final = frozenset({"succeeded", "failed", "cancelled"})


class BlockOfLines(Protocol):
    """Whole lines as they are sent, the number of the last one, and how far the source was read for them."""

    @property
    def data(self) -> bytes: ...
    @property
    def last_line(self) -> int: ...
    @property
    def bytes_read(self) -> int: ...


class Lines(Protocol):
    """Numbered lines that can be read again behind any of them."""

    def blocks(self, after: int = 0) -> Iterator[BlockOfLines]: ...
    def lines(self, after: int = 0) -> Iterator[tuple[int, bytes]]: ...


class UploadEndedError(RunsinkError):
    """The upload ended before the end of its lines, and sending them again would end in the same way."""


@attrs.define
class Uploaded:
    """What became of the lines up to ``last_line``: ``errors`` by line, and the conflicts that the server listed.

    ``rolled_back`` are good lines of a batch that was not stored, each with a bad line of that batch.
    """

    total: int = 0
    created: int = 0
    existing: int = 0
    failed: int = 0
    last_line: int = 0
    batches: int = 0
    errors: dict[int, list[dict[str, Any]]] = attrs.field(factory=dict)
    rolled_back: dict[int, int] = attrs.field(factory=dict)
    conflicts: list[dict[str, Any]] = attrs.field(factory=list)
    conflicts_omitted: int = 0

    def add_counts(self, before: "Uploaded", document: Mapping[str, Any]) -> None:
        """Count what a request has brought so far, on top of what was before it."""
        self.total = before.total + document["total"]
        self.created = before.created + document["created"]
        self.existing = before.existing + document["existing"]
        self.failed = before.failed + document["failed"]
        self.last_line = before.last_line + document["last_line"]

    def add_found(self, before: int, document: Mapping[str, Any]) -> None:
        """Keep the errors and conflicts of a request that began behind the line ``before``."""
        for error in document["errors"]:
            found = self.errors.setdefault(before + error["line"], [])
            named = {name: error.get(name) for name in ("field", "error", "retryable")}
            if named not in found:
                found.append(named)
        self.conflicts += [{**conflict, "line": before + conflict["line"]} for conflict in document["conflicts"]]
        self.conflicts_omitted += document["conflicts_omitted"]


OnProgress = Callable[[Uploaded, int, int | None], object]
"""Called with what became of the lines so far, the bytes that are done and, where that is known, all bytes."""


@attrs.define
class Upload:
    """One upload of lines to a server. ``uploaded`` says at any time what is known of them."""

    connection: ApiConnection
    patience: Patience
    on_progress: OnProgress = lambda _uploaded, _done, _whole: None
    uploaded: Uploaded = attrs.field(factory=Uploaded)
    _unnamed: list[tuple[int, int]] = attrs.field(factory=list)
    """Ranges of lines in which some were rejected that the server did not list: the first and the last."""
    _failure: Exception | None = None
    """Why the lines could not be read to their end. What was read is uploaded all the same."""

    def stream(self, lines: Lines) -> None:
        """Send everything as a stream, and what was not acknowledged again after a failure.

        Raises:
            GaveUpError: the server could not be reached, or stayed busy.
            ApiError: it refuses the upload.
            UploadEndedError: it ended the upload.
            InvalidResponseError: it is no server of this API.
        """
        attempts = self.patience.begin()
        while not self._is_streamed(lines, attempts):
            pass
        self._name_errors(lines)
        self._raise_failure()

    def run_job(self, lines: Lines) -> None:
        """Have the server spool everything, and wait until it has worked through it; raises as ``stream`` does."""
        attempts = self.patience.begin()
        job: dict[str, Any] | None = None
        while job is None:
            job = self._submit(lines, attempts)
        job = self._await(job)
        self._note_ending(Uploaded(), job)
        self._name_errors(lines)
        if job["state"] != "succeeded":
            raise UploadEndedError(f"job {job['job_id']} {job['state']}: {job.get('detail') or 'no reason given'}")
        self._raise_failure()

    def send_batches(self, lines: Lines) -> None:
        """Send atomic batches of up to 1000 lines, each on its own; raises as ``stream`` does."""
        patient = PatientConnection(self.connection, self.patience)
        done = 0
        for batch in batched(lines.lines(), BATCH_RUNS, BATCH_BYTES):
            texts, broken = _check_json(batch)
            content = b'{"runs":[' + b",".join(texts) + b"]}"
            response, body = patient.request("POST", ATOMIC, content, {"Prefer": "return=minimal"})
            if not has_counts(body):
                raise ApiError(response.status, describe_detail(body))
            self._note_batch([number for number, _ in batch], body, broken)
            done += sum(len(text) + 1 for _, text in batch)
            self.on_progress(self.uploaded, done, None)

    def _is_streamed(self, lines: Lines, attempts: Attempts) -> bool:
        """Make one attempt; return whether it got to the end. Wait, if it makes sense to go on."""
        before = attrs.evolve(self.uploaded)
        retry_after: float | None = None
        try:
            ending = self._exchange(lines, before)
        except ServerUnreachableError as error:
            self._note_unnamed(before, None)
            reason: object = error
        except _RefusedError as error:
            retry_after, reason = error.retry_after, error.reason
        else:
            if "status" not in ending:
                return True
            reason = ApiError(ending["status"], describe_detail(ending))
            if not is_retried(ending["status"]):
                self._name_errors(lines)
                raise UploadEndedError(str(reason))
            if ending["status"] == 408:  # The source is slow, which is no failure of the server.
                attempts.succeeded()
        if self.uploaded.last_line > before.last_line:
            attempts.succeeded()
        self.patience.wait(attempts, reason, retry_after)
        return False

    def _exchange(self, lines: Lines, before: Uploaded) -> dict[str, Any]:
        """Send what is not acknowledged yet; return the last document of the response."""
        body = _Body(lines.blocks(before.last_line), self._note_failure, before.last_line)
        headers = {**_NDJSON, "Accept": "application/x-ndjson"}
        with self.connection.stream("POST", STREAM, iter(body), headers) as exchange:
            if exchange.status != 200:
                raise _refusal(ApiResponse(exchange.status, exchange.headers, exchange.read()))
            for line in exchange.lines():
                document = parse_object(line)
                if not has_counts(document):
                    raise InvalidResponseError(f"the response is no account of a stream: {line[:200]!r}")
                self.uploaded.add_counts(before, document)
                self.on_progress(self.uploaded, body.bytes_up_to(self.uploaded.last_line), None)
                if "errors" in document:
                    self._check_whole(before, document, body)
                    self._note_ending(before, document)
                    return document
        raise ServerUnreachableError(f"the response of {self.connection.url} broke off")

    def _check_whole(self, before: Uploaded, ending: Mapping[str, Any], body: "_Body") -> None:
        """Raise ``UploadEndedError`` if the server read a stream to its end that is not all that was sent.

        A proxy that cannot send and receive at once loses what arrives while the response begins, and says nothing.
        What is lost is in the middle, so nothing is known of any line.
        """
        received = self.uploaded.last_line
        if "status" not in ending and (received < body.last_line or not body.has_ended):
            self.uploaded = before
            raise UploadEndedError(
                f"a part of the lines was lost on the way: {received} arrived of at least {body.last_line}; upload "
                "with --job, or through a proxy that can send and receive at once (full duplex)"
            )

    def _note_failure(self, error: Exception) -> None:
        self._failure = error

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _submit(self, lines: Lines, attempts: Attempts) -> dict[str, Any] | None:
        headers = {**_NDJSON, "Prefer": "respond-async"}
        retry_after: float | None = None
        try:
            body = _Body(lines.blocks(), self._note_failure)
            response = self.connection.request("POST", STREAM, iter(body), headers)
            job = parse_object(response.body)
            if response.status == 202 and "job_id" in job:
                return job
            raise _refusal(response)
        except ServerUnreachableError as error:
            reason: object = error
        except _RefusedError as error:
            retry_after, reason = error.retry_after, error.reason
        self.patience.wait(attempts, reason, retry_after)
        return None

    def _await(self, job: dict[str, Any]) -> dict[str, Any]:
        """Ask for a job until it is finished."""
        patient = PatientConnection(self.connection, self.patience)
        path, delay = f"{JOBS}/{quote(job['job_id'], safe='')}", _POLL_SECONDS[0]
        while job["state"] not in _FINISHED:
            self.patience.sleep(delay)
            delay = min(delay * 1.5, _POLL_SECONDS[1])
            response, job = patient.request("GET", path)
            if response.status != 200:
                raise ApiError(response.status, describe_detail(job))
            self.uploaded.add_counts(Uploaded(), job)
            self.on_progress(self.uploaded, job["bytes_done"], job["bytes_total"])
        return job

    def _note_ending(self, before: Uploaded, document: Mapping[str, Any]) -> None:
        self.uploaded.add_counts(before, document)
        self.uploaded.add_found(before.last_line, document)
        self._note_unnamed(before, document)

    def _note_unnamed(self, before: Uploaded, ending: Mapping[str, Any] | None) -> None:
        """Note where lines were rejected without being listed."""
        if self.uploaded.failed > before.failed and (ending is None or ending["errors_omitted"]):
            # Of the last line that is listed some errors may be missing.
            listed = ending["errors"][-1]["line"] if ending and ending["errors"] else 1
            self._unnamed.append((before.last_line + listed, self.uploaded.last_line))

    def _name_errors(self, lines: Lines) -> None:
        """Send the lines again of which some were rejected that were not listed, to hear which; nothing is counted."""
        patient = PatientConnection(self.connection, self.patience)
        while self._unnamed:
            first, last = self._unnamed.pop()
            numbered = takewhile(lambda numbered: numbered[0] <= last, lines.lines(first - 1))  # noqa: B023 - used at once
            for batch in batched(numbered, BATCH_RUNS, _NAMING_BYTES):
                content = b"".join(line + b"\n" for _, line in batch)
                response, document = patient.request("POST", STREAM, content, _NDJSON)
                if "errors" not in document:
                    raise ApiError(response.status, describe_detail(document))
                errors = [{**error, "line": batch[error["line"] - 1][0]} for error in document["errors"]]
                self.uploaded.add_found(0, {"errors": errors, "conflicts": [], "conflicts_omitted": 0})
                if document["errors_omitted"] and errors[-1]["line"] > batch[0][0]:
                    self._unnamed.append((errors[-1]["line"], batch[-1][0]))

    def _note_batch(self, numbers: list[int], body: Mapping[str, Any], broken: Mapping[int, str]) -> None:
        """Count an atomic batch. If it was rolled back, none of its lines is stored, the good ones neither."""
        faults = {
            numbers[index]: [{name: error.get(name) for name in ("field", "error", "retryable")} for error in errors]
            for index, errors in groupby(body["errors"], key=lambda error: error["index"])
        }
        faults |= {number: [{"field": None, "error": reason, "retryable": False}] for number, reason in broken.items()}
        if body["failed"]:
            self.uploaded.errors |= faults
            first = min(faults, default=numbers[0])
            self.uploaded.rolled_back |= {number: first for number in numbers if number not in faults}
        for count in ("total", "created", "existing", "failed"):
            setattr(self.uploaded, count, getattr(self.uploaded, count) + body[count])
        self.uploaded.last_line = numbers[-1]
        self.uploaded.batches += 1
        self.uploaded.conflicts += [
            {**{name: conflict[name] for name in ("event_id", "fields")}, "line": numbers[conflict["index"]]}
            for conflict in body["conflicts"]
        ]


class _RefusedError(Exception):
    """The server took nothing of it, but may later."""

    def __init__(self, reason: ApiError, retry_after: float | None) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.retry_after = retry_after


def _refusal(response: ApiResponse) -> Exception:
    """Return the error of a response that says nothing about lines."""
    reason = ApiError(response.status, describe_detail(parse_object(response.body)))
    if is_retried(response.status):
        return _RefusedError(reason, parse_retry_after(response.headers.get("retry-after")))
    return reason


class _Body:
    """The blocks that are sent, and how many bytes of the source are done with a line."""

    def __init__(
        self, blocks: Iterator[BlockOfLines], on_failure: Callable[[Exception], object], last_line: int = 0
    ) -> None:
        self.last_line = last_line
        """The last line that was sent."""
        self.has_ended = False
        self._blocks = blocks
        self._on_failure = on_failure
        self._sent: deque[tuple[int, int]] = deque()
        self._done = 0

    def __iter__(self) -> Iterator[bytes]:
        while block := self._next():
            self._sent.append((block.last_line, block.bytes_read))
            self.last_line = block.last_line
            yield block.data
        self.has_ended = True

    def _next(self) -> BlockOfLines | None:
        try:
            return next(self._blocks, None)
        except Exception as error:  # noqa: BLE001 - whatever a reader raises, it is raised again after the upload
            self._on_failure(error)
            return None

    def bytes_up_to(self, line: int) -> int:
        """Return how far the source is done once everything up to that line is."""
        while self._sent and self._sent[0][0] <= line:
            self._done = self._sent.popleft()[1]
        return self._done


def batched(lines: Iterable[tuple[int, bytes]], most: int, most_bytes: int) -> Iterator[list[tuple[int, bytes]]]:
    """Group lines: at most so many, and so many bytes unless a single line has more."""
    batch: list[tuple[int, bytes]] = []
    size = 0
    for number, line in lines:
        if batch and (len(batch) == most or size + len(line) > most_bytes):
            yield batch
            batch, size = [], 0
        batch.append((number, line))
        size += len(line)
    if batch:
        yield batch


def _check_json(batch: Iterable[tuple[int, bytes]]) -> tuple[list[bytes], dict[int, str]]:
    """Return the lines as they can stand in one document, ``null`` in place of what is not JSON, and what that is."""
    texts, broken = [], {}
    for number, line in batch:
        text = line
        try:
            json.loads(line)
        except RecursionError:
            pass  # Nested too deeply for this decoder; the server knows how deep is too deep.
        except ValueError as error:
            text, broken[number] = b"null", f"it is not JSON: {error}"
        texts.append(text)
    return texts, broken
