"""The streaming upload: any number of runs in one request, taken a chunk at a time or spooled as a job."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeVar
from uuid import uuid4

import attrs
from aiohttp import hdrs, web

from adapters.spool import Spool, SpoolWriter
from adapters.wire.encode import encode, job_answer, stream_answer, stream_progress
from core.model.job import Job, JobId
from core.model.stream import CHUNK_BYTES, Chunk, StreamFormat, StreamResult
from core.use_cases.jobs import queue_job
from core.use_cases.stream import take_chunk
from entrypoints.http.api.context import Context
from entrypoints.http.messages.headers import accepts_ndjson, prefers_async
from entrypoints.http.messages.request_body import content_coding, stream_format
from entrypoints.http.messages.responses import (
    RETRY_AFTER_SECONDS,
    ErrorDocument,
    SlowBodyError,
    describe_error,
    json_response,
    say_continue,
)
from entrypoints.http.pressure.admission import Lease
from entrypoints.http.rejections import RejectedRequestError
from entrypoints.http.transport.connections import connection_of, lease_of
from entrypoints.streams import StreamDecoder, StreamReader

FLUSH_SECONDS: Final = 1.0
"""After so long without a byte, the lines that are complete are stored."""

MIN_BYTES_PER_SECOND: Final = 100
"""What a client must send on average while the server waits for it."""

LOOK_SECONDS: Final = 1.0
"""How often a stream that waits for its quota looks whether its client is still there."""

ROOM_SECONDS: Final = 0.05
"""How often a stream looks whether there is room for its next chunk."""

_NDJSON: Final = "application/x-ndjson"

_T = TypeVar("_T")


class Jobs(Protocol):
    """What takes the bodies of jobs and runs them."""

    def spool(self) -> Spool:
        """Return the spool, which is made if it is missing; raises ``StoreError``."""
        ...

    def wake(self) -> None:
        """Say that a job was queued."""
        ...


@attrs.define
class StreamSlots:
    """How many streams there are at once in this process."""

    limit: int
    used: int = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Take a slot for the length of the block, or raise ``RejectedRequestError`` with 503."""
        if self.used >= self.limit:
            detail = f"{self.limit} streams are in progress already (max_streams)"
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            raise RejectedRequestError(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers)
        self.used += 1
        try:
            yield
        finally:
            self.used -= 1


@attrs.frozen
class Stream:
    """The handler of streams."""

    context: Context
    jobs: Jobs
    slots: StreamSlots
    idle_seconds: int
    draining: asyncio.Event

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this resource."""
        return [web.post("/api/v1/runs/stream", self.post_stream)]

    async def post_stream(self, request: web.Request) -> web.StreamResponse:
        """Store the good runs of a stream and name the bad ones, or keep the stream to do so later."""
        kind, coding = stream_format(request), content_coding(request)
        async with self.slots.slot():
            connection_of(request).begin_stream()
            say_continue(request)
            if prefers_async(request):
                return await self._spool(request, kind, coding)
            return await self._take(request, kind, coding)

    async def _take(self, request: web.Request, kind: StreamFormat, coding: str | None) -> web.StreamResponse:
        application = self.context.application
        decoder = StreamDecoder(application.decoder, application.limits, application.clock.now)
        progress = Progress(request) if accepts_ndjson(request) else None
        taker = Taker(self.context, request, decoder.begin(kind, coding), progress, self.draining)
        failure: ErrorDocument | None = None
        try:
            async for piece in self._pieces(request):
                await (taker.flush() if piece is None else taker.feed(piece))
            await taker.finish()
        except Exception as error:  # noqa: BLE001 - every error ends the stream, with what was stored before
            failure = describe_error(error, request)
            await taker.settle()
        return await _respond(taker.result, failure, progress)

    async def _spool(self, request: web.Request, kind: StreamFormat, coding: str | None) -> web.Response:
        run = self.context.pools.spooling.run
        job_id = JobId(uuid4().hex)
        spool = await run(self.jobs.spool, begun=True)
        writer = await run(partial(spool.create, job_id), begun=True)
        try:
            async for piece in self._pieces(request):
                if piece is not None:
                    await run(partial(writer.write, piece), begun=True)
            await run(writer.finish, begun=True)
            job = await self._queue(spool, writer, job_id, kind, coding)
        except BaseException:
            writer.discard()
            raise
        finally:
            writer.close()
        self.jobs.wake()
        headers = {"Location": f"/api/v1/jobs/{job_id}", "Preference-Applied": "respond-async"}
        return json_response(job_answer(job), status=HTTPStatus.ACCEPTED, headers=headers)

    async def _queue(
        self, spool: Spool, writer: SpoolWriter, job_id: JobId, kind: StreamFormat, coding: str | None
    ) -> Job:
        job = Job(
            job_id=job_id,
            spool=spool.identity,
            format=kind,
            coding=coding,
            created_at=self.context.application.clock.now(),
            bytes_total=writer.size,
        )
        return await self.context.write(lambda work: queue_job(job, work))

    async def _pieces(self, request: web.Request) -> AsyncIterator[bytes | None]:
        """Yield the pieces of a body as they come, and ``None`` where no more came for a moment.

        Raises:
            SlowBodyError: no byte came for ``idle_seconds``, or too few.
            RejectedRequestError: the server stops.
        """
        pace = Pace(self.idle_seconds)
        while True:
            if self.draining.is_set():
                raise _stopping()
            begun = asyncio.get_running_loop().time()
            try:
                piece = await asyncio.wait_for(request.content.readany(), FLUSH_SECONDS)
            except TimeoutError as error:
                if isinstance(error, SlowBodyError):
                    raise
                pace.note(FLUSH_SECONDS, 0)
                yield None
                continue
            if not piece:
                if request.content.at_eof():
                    return
                continue
            pace.note(asyncio.get_running_loop().time() - begun, len(piece))
            yield piece


class Pace:
    """Whether a client sends fast enough. Only the time counts in which the server waits for it."""

    def __init__(self, idle_seconds: float) -> None:
        self._seconds = idle_seconds
        self._silent = self._waited = 0.0
        self._received = 0

    def note(self, waited: float, size: int) -> None:
        """Note that so many bytes came after so many seconds; raise ``SlowBodyError`` if that is too slow."""
        self._silent = 0.0 if size else self._silent + waited
        self._waited += waited
        self._received += size
        if self._silent >= self._seconds:
            raise SlowBodyError(f"no byte of the body came for {self._seconds} seconds (max_body_seconds)")
        if self._waited >= self._seconds:
            if self._received < MIN_BYTES_PER_SECOND * self._waited:
                raise SlowBodyError(
                    f"the body came at less than {MIN_BYTES_PER_SECOND} bytes per second (min_stream_bytes_per_second)"
                )
            self._waited, self._received = 0.0, 0


class Progress:
    """The response to a client that wants to be told after each chunk: a line for each, and the result in the end."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: _NDJSON})

    async def tell(self, result: StreamResult) -> None:
        """Send what was done up to now, unless the client does not read: it may be busy sending."""
        await self._prepare()
        if connection_of(self._request).stalled:
            return
        with suppress(TimeoutError):
            # The bytes are on their way even if the client does not read them soon.
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._response.write(encode(stream_progress(result)) + b"\n")

    async def end(self, document: dict[str, Any]) -> web.StreamResponse:
        """Send the last line."""
        await self._prepare()
        await self._response.write_eof(encode(document) + b"\n")
        return self._response

    async def _prepare(self) -> None:
        if not self._response.prepared:
            await self._response.prepare(self._request)


class Taker:
    """Takes the chunks of one stream: one is decoded while the one before it is written."""

    def __init__(
        self,
        context: Context,
        request: web.Request,
        reader: StreamReader,
        progress: Progress | None,
        draining: asyncio.Event,
    ) -> None:
        self.result = StreamResult()
        self._context = context
        self._request = request
        self._reader = reader
        self._progress = progress
        self._draining = draining
        self._lease: Lease = lease_of(request)
        self._writing: asyncio.Task[StreamResult] | None = None

    async def feed(self, piece: bytes) -> None:
        """Take a piece of the body."""
        await self._take_all(self._reader.feed(piece))

    async def flush(self) -> None:
        """Store the lines that are complete."""
        await self._take_all(self._reader.flush())
        await self._written()

    async def finish(self) -> None:
        """Take what is left at the end of the body."""
        await self._take_all(self._reader.finish())
        await self._written()

    async def settle(self) -> None:
        """Wait for what is being written, whatever becomes of it: the stream has ended already."""
        if self._writing is not None:
            await asyncio.wait([self._writing])
            if self._writing.exception() is None:
                self.result = self._writing.result()
            self._writing = None

    async def _take_all(self, chunks: Iterator[Chunk]) -> None:
        while (chunk := await self._decode(lambda: next(chunks, None))) is not None:
            await self._written()
            self._check_wanted()
            await self._wait_for_quota(len(chunk.lines))
            so_far = self.result
            self._writing = asyncio.create_task(self._write(so_far, chunk))

    async def _decode(self, call: Callable[[], _T]) -> _T:
        return await self._context.pools.decoding.run(call, begun=True)

    async def _write(self, so_far: StreamResult, chunk: Chunk) -> StreamResult:
        while not self._lease.try_grow(CHUNK_BYTES):  # noqa: ASYNC110 - room is given back in many places
            await asyncio.sleep(ROOM_SECONDS)
        try:
            return await self._context.write(lambda work: take_chunk(so_far, chunk, work))
        finally:
            self._lease.resize(0)

    async def _written(self) -> None:
        """Wait until the chunk before is durable, and tell."""
        if self._writing is None:
            return
        writing, self._writing = self._writing, None
        self.result = await writing
        if self._progress is not None:
            await self._progress.tell(self.result)

    async def _wait_for_quota(self, runs: int) -> None:
        """Count the runs of a chunk, over as many windows as it takes; raise as ``_check_wanted``."""
        while True:
            taken, seconds = self._context.access.take_runs(self._request, runs)
            runs -= taken
            if not runs:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._draining.wait(), min(seconds, LOOK_SECONDS))
            self._check_wanted()

    def _check_wanted(self) -> None:
        """Check before each chunk whether to go on: a small piece of a body may hold many chunks.

        Raises:
            RejectedRequestError: the server stops.
            RequestPayloadError, ConnectionError: the client sends no more, or is gone.
        """
        if self._draining.is_set():
            raise _stopping()
        if (error := self._request.content.exception()) is not None:
            raise error


def _stopping() -> RejectedRequestError:
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return RejectedRequestError(HTTPStatus.SERVICE_UNAVAILABLE, "the server is stopping", headers, closes=True)


async def _respond(
    result: StreamResult, failure: ErrorDocument | None, progress: Progress | None
) -> web.StreamResponse:
    document = stream_answer(result)
    if progress is not None:
        early_end = {} if failure is None else {"status": failure.status, **failure.body}
        return await progress.end({**document, **early_end})
    if failure is None:
        return json_response(document)
    response = json_response({**document, **failure.body}, status=failure.status, headers=failure.headers)
    if failure.closes:
        response.force_close()
    return response
