"""Compressed answers, for clients that accept them."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor

from aiohttp import web
from aiohttp.typedefs import Middleware

from adapters.content_coding import CODINGS, encode
from entrypoints.http.fields import preferred_coding

MIN_COMPRESSED_BYTES = 1400
"""A smaller answer goes out in one packet as it is."""

INLINE_ANSWER_BYTES = 64 * 1024
"""Answers up to this size are compressed on the event loop: it takes less than a millisecond."""


def compress_with(executor: Executor) -> Middleware:
    """The middleware: compresses answers from a kilobyte or so, large ones in another thread."""

    @web.middleware
    async def compress(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        response = await handler(request)
        if isinstance(response, web.Response) and isinstance(response.body, bytes):
            await _compress(request, response, response.body, executor)
        return response

    return compress


async def _compress(request: web.Request, response: web.Response, body: bytes, executor: Executor) -> None:
    if len(body) < MIN_COMPRESSED_BYTES:
        return
    response.headers["Vary"] = "Accept-Encoding"
    coding = preferred_coding(",".join(request.headers.getall("Accept-Encoding", ())), CODINGS)
    if coding is None:
        return
    if len(body) <= INLINE_ANSWER_BYTES:
        response.body = encode(coding, body)
    else:
        response.body = await asyncio.get_running_loop().run_in_executor(executor, encode, coding, body)
    response.headers["Content-Encoding"] = coding
