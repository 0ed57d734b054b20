"""The streaming upload: any number of runs in one request, taken a chunk at a time or spooled as a job."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from http import HTTPStatus
from uuid import uuid4

import attrs
from aiohttp import web

from adapters.spool import Spool, SpoolWriter
from adapters.tracebacks import release_locals
from adapters.wire.encode import job_answer, stream_answer
from core.model.job import Job, JobId
from core.model.stream import StreamFormat, StreamResult
from core.use_cases.jobs import queue_job
from entrypoints.http.api.context import Context
from entrypoints.http.api.jobs import Jobs
from entrypoints.http.api.stream_taker import FLUSH_SECONDS, Pace, Progress, StreamSlots, Taker, stopping
from entrypoints.http.messages.headers import accepts_ndjson, prefers_async
from entrypoints.http.messages.request_body import content_coding, stream_format
from entrypoints.http.messages.responses import (
    ErrorDocument,
    SlowBodyError,
    describe_error,
    json_response,
    say_continue,
)
from entrypoints.http.transport.connections import connection_of
from entrypoints.streams import StreamDecoder


@attrs.frozen
class Stream:
    """The handler of streams."""

    context: Context
    jobs: Jobs
    slots: StreamSlots
    idle_seconds: int

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
        taker = Taker(self.context, self.slots, request, decoder.begin(kind, coding), progress)
        failure: ErrorDocument | None = None
        try:
            await self._feed(request, taker)
        except Exception as error:  # noqa: BLE001 - every error ends the stream, with what was stored before
            failure = describe_error(error, request)
            release_locals(error)
            await taker.settle()
        connection_of(request).end_stream()
        return await _respond(taker.result, failure, progress)

    async def _feed(self, request: web.Request, taker: Taker) -> None:
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
        location = f"{self.context.root_path}/api/v1/jobs/{job_id}"
        headers = {"Location": location, "Preference-Applied": "respond-async"}
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
            if self.slots.draining.is_set():
                raise stopping()
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


async def _respond(
    result: StreamResult, failure: ErrorDocument | None, progress: Progress | None
) -> web.StreamResponse:
    document = stream_answer(result)
    if progress is not None:
        early_end = {} if failure is None else {"status": failure.status, **failure.body}
        told = await progress.end({**document, **early_end})
        if failure is not None:
            failure.mark(told)
        return told
    if failure is None:
        return json_response(document)
    response = json_response({**document, **failure.body}, status=failure.status, headers=failure.headers)
    failure.mark(response)
    if failure.closes:
        response.force_close()
    return response
