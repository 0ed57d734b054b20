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
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter

from adapters.spool import Spool, SpoolWriter
from adapters.wire.encode import encode, job_answer, stream_answer, stream_progress
from core.model.job import Job, JobId
from core.model.stream import CHUNK_BYTES, Chunk, StreamFormat, StreamResult
from core.use_cases.jobs import queue_job
from core.use_cases.stream import take_chunk
from entrypoints.http.api.context import Context
from entrypoints.http.guard.rate_limits import RateLimitedError
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

ROOM_SECONDS: Final = 0.05
"""How often a stream looks whether there is room for its next chunk."""

PIECE_BYTES: Final = 256 * 1024
"""So many bytes are decoded at once: switching threads for each piece that arrives would cost more than decoding it."""

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
    """How many streams there are at once in this process, and which of them writes.

    One at a time does, so that in every commit there is one chunk of a stream at most, and whoever uploads batches
    meanwhile waits for that and not for all of them.
    """

    limit: int
    used: int = 0
    writing: asyncio.Lock = attrs.Factory(asyncio.Lock)

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
            try:
                if prefers_async(request):
                    return await self._spool(request, kind, coding)
                return await self._take(request, kind, coding)
            finally:
                connection_of(request).end_stream()

    async def _take(self, request: web.Request, kind: StreamFormat, coding: str | None) -> web.StreamResponse:
        application = self.context.application
        decoder = StreamDecoder(application.decoder, application.limits, application.clock.now)
        progress = Progress(request) if accepts_ndjson(request) else None
        taker = Taker(self, request, decoder.begin(kind, coding), progress)
        failure: ErrorDocument | None = None
        try:
            await self._feed(request, taker)
        except Exception as error:  # noqa: BLE001 - every error ends the stream, with what was stored before
            failure = describe_error(error, request)
            await taker.settle()
        connection_of(request).end_stream()
        return await _respond(taker.result, failure, progress)

    async def _feed(self, request: web.Request, taker: "Taker") -> None:
        pieces = self._pieces(request)
        while True:
            try:
                piece = await anext(pieces)
            except StopAsyncIteration:
                break
            except Exception:
                # The lines that are complete need not be sent again.
                await taker.flush()
                raise
            await (taker.flush() if piece is None else taker.feed(piece))
        await taker.finish()

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
            await run(writer.discard, begun=True)
            raise
        finally:
            await run(writer.close, begun=True)
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
        self._writer: AbstractStreamWriter | None = None

    async def tell(self, result: StreamResult) -> None:
        """Send what was done up to now, unless the client does not read: it may be busy sending.

        It is not waited for either, since it would then wait for the server to read, and the server for it.
        """
        await self._prepare()
        if not connection_of(self._request).stalled:
            line = encode(stream_progress(result)) + b"\n"
            assert isinstance(self._writer, StreamWriter)  # noqa: S101 - what aiohttp's protocol makes
            await self._writer.write(line, drain=False)

    async def end(self, document: dict[str, Any]) -> web.StreamResponse:
        """Send the last line."""
        await self._prepare()
        await self._response.write_eof(encode(document) + b"\n")
        return self._response

    async def _prepare(self) -> None:
        if self._writer is None:
            self._writer = await self._response.prepare(self._request)


class Taker:
    """Takes the chunks of one stream: one is decoded while the one before it is written."""

    def __init__(self, stream: Stream, request: web.Request, reader: StreamReader, progress: Progress | None) -> None:
        self.result = StreamResult()
        self._context = stream.context
        self._request = request
        self._reader = reader
        self._progress = progress
        self._turn = stream.slots.writing
        self._draining = stream.draining
        self._pieces: list[bytes] = []
        self._size = 0
        self._lease: Lease = lease_of(request)
        self._writing: asyncio.Task[StreamResult] | None = None

    async def feed(self, piece: bytes) -> None:
        """Take a piece of the body."""
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size >= PIECE_BYTES:
            await self._take_pieces()

    async def flush(self) -> None:
        """Store the lines that are complete."""
        await self._take_pieces()
        await self._take_all(self._reader.flush())
        await self._written()

    async def finish(self) -> None:
        """Take what is left at the end of the body."""
        await self._take_pieces()
        await self._take_all(self._reader.finish())
        await self._written()

    async def settle(self) -> None:
        """Wait for what is being written, whatever becomes of it: the stream has ended already."""
        if self._writing is not None:
            await asyncio.wait([self._writing])
            if self._writing.exception() is None:
                self.result = self._writing.result()
            self._writing = None

    async def _take_pieces(self) -> None:
        pieces, self._pieces, self._size = self._pieces, [], 0
        if pieces:
            await self._take_all(self._reader.feed(b"".join(pieces)))

    async def _take_all(self, chunks: Iterator[Chunk]) -> None:
        while (chunk := await self._decode(lambda: next(chunks, None))) is not None:
            await self._written()
            await self._wait_for_quota(len(chunk.lines))
            so_far = self.result
            self._writing = asyncio.create_task(self._write(so_far, chunk))

    async def _decode(self, call: Callable[[], _T]) -> _T:
        return await self._context.pools.streaming.run(call, begun=True)

    async def _write(self, so_far: StreamResult, chunk: Chunk) -> StreamResult:
        async with self._turn:
            while not self._lease.try_grow(CHUNK_BYTES):
                await self._pause(ROOM_SECONDS)
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
        while True:
            try:
                self._context.access.charge_runs(self._request, runs)
            except RateLimitedError as error:
                if error.can_never_pass:
                    raise
                await self._pause(error.retry_after)
            else:
                return

    async def _pause(self, seconds: float) -> None:
        """Wait for something that only time brings; raise ``RejectedRequestError`` once the server stops."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._draining.wait(), seconds)
        if self._draining.is_set():
            raise _stopping()


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
