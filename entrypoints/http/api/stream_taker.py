"""Taking a stream: its pace, its chunks, and what its client is told meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any, Final, TypeVar

import attrs
from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter

from adapters.wire.encode import encode, stream_progress
from core.model.stream import CHUNK_BYTES, Chunk, StreamResult
from core.ports.observer import Intake
from core.use_cases.stream import added_by_chunk, take_chunk
from entrypoints.http.api.context import Context
from entrypoints.http.messages.responses import (
    RETRY_AFTER_SECONDS,
    SlowBodyError,
)
from entrypoints.http.pressure.admission import Lease
from entrypoints.http.rejections import Reason, RejectedRequestError
from entrypoints.http.transport.connections import connection_of, lease_of
from entrypoints.streams import StreamReader

FLUSH_SECONDS: Final = 1.0
"""After so long without a byte, the lines that are complete are stored."""

MIN_BYTES_PER_SECOND: Final = 100
"""What a client must send on average while the server waits for it."""

LOOK_SECONDS: Final = 1.0
"""How often a stream that waits for its quota looks whether its client is still there."""

ROOM_SECONDS: Final = 0.05
"""How often a stream looks whether there is room for its next chunk."""

PIECE_BYTES: Final = 256 * 1024
"""So many bytes are decoded at once: switching threads for each piece that arrives would cost more than decoding it."""

_NDJSON: Final = "application/x-ndjson"

_T = TypeVar("_T")


@attrs.define
class StreamSlots:
    """How many streams there are at once in this process, and which of them writes.

    One at a time does, so that in every commit there is one chunk of a stream at most, and whoever uploads batches
    meanwhile waits for that and not for all of them.
    """

    limit: int
    draining: asyncio.Event
    used: int = 0
    writing: asyncio.Lock = attrs.Factory(asyncio.Lock)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Take a slot for the length of the block, or raise ``RejectedRequestError`` with 503."""
        if self.used >= self.limit:
            detail = f"{self.limit} streams are in progress already (max_streams)"
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            raise RejectedRequestError(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers, reason=Reason.STREAMS)
        self.used += 1
        try:
            yield
        finally:
            self.used -= 1


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

    def __init__(
        self,
        context: Context,
        slots: StreamSlots,
        request: web.Request,
        reader: StreamReader,
        progress: Progress | None,
    ) -> None:
        self.result = StreamResult()
        self._context = context
        self._request = request
        self._reader = reader
        self._progress = progress
        self._turn = slots.writing
        self._draining = slots.draining
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
                self._take(self._writing.result())
            self._writing = None

    async def _take_pieces(self) -> None:
        pieces, self._pieces, self._size = self._pieces, [], 0
        if pieces:
            await self._take_all(self._reader.feed(b"".join(pieces)))

    async def _take_all(self, chunks: Iterator[Chunk]) -> None:
        while (chunk := await self._decode(lambda: next(chunks, None))) is not None:
            await self._written()
            self._check_wanted()
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
        self._take(await writing)
        if self._progress is not None:
            await self._progress.tell(self.result)

    def _take(self, result: StreamResult) -> None:
        """Go on from a result that is durable."""
        self._context.application.note(Intake.STREAM, added_by_chunk(self.result, result))
        self.result = result

    async def _wait_for_quota(self, runs: int) -> None:
        """Count the runs of a chunk, over as many windows as it takes; raise as ``_check_wanted``."""
        while True:
            taken, seconds = self._context.access.take_runs(self._request, runs)
            runs -= taken
            if not runs:
                return
            await self._pause(min(seconds, LOOK_SECONDS))
            self._check_wanted()

    def _check_wanted(self) -> None:
        """Check before each chunk whether to go on: a small piece of a body may hold many chunks.

        Raises:
            RejectedRequestError: the server stops.
            RequestPayloadError, ConnectionError: the client sends no more, or is gone.
        """
        if self._draining.is_set():
            raise stopping()
        if (error := self._request.content.exception()) is not None:
            raise error

    async def _pause(self, seconds: float) -> None:
        """Wait for something that only time brings; raise ``RejectedRequestError`` once the server stops."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._draining.wait(), seconds)
        if self._draining.is_set():
            raise stopping()


def stopping() -> RejectedRequestError:
    """Return the error that ends a stream when the server stops."""
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return RejectedRequestError(
        HTTPStatus.SERVICE_UNAVAILABLE, "the server is stopping", headers, closes=True, reason=Reason.DRAINING
    )
