"""Compress responses for clients that accept it."""

from functools import partial

from aiohttp import web

from adapters.content_coding import CODINGS, encode
from entrypoints.http.messages.headers import preferred_coding
from entrypoints.http.pressure.admission import OverloadedError
from entrypoints.http.pressure.worker_pool import WorkerPool

MIN_COMPRESSED_BYTES = 1400
"""A smaller response fits in one packet uncompressed."""

INLINE_RESPONSE_BYTES = 64 * 1024
"""Responses up to this size are compressed on the event loop, in less than a millisecond."""


async def compress(request: web.Request, response: web.Response, body: bytes, pool: WorkerPool) -> None:
    """Compress a response with this body if its client accepts that; a large one in a thread."""
    if "Content-Encoding" in response.headers:
        return
    response.headers["Vary"] = "Accept-Encoding"
    coding = choose_coding(request)
    if coding is None:
        return
    try:
        response.body = await _encoded(coding, body, pool)
    except OverloadedError:
        # The request is done; its response must not be lost for want of a thread.
        return
    response.headers["Content-Encoding"] = coding


def choose_coding(request: web.Request) -> str | None:
    """Return the content coding that the client prefers; ``None`` means no coding."""
    return preferred_coding(",".join(request.headers.getall("Accept-Encoding", ())), CODINGS)


async def _encoded(coding: str, body: bytes, pool: WorkerPool) -> bytes:
    return encode(coding, body) if len(body) <= INLINE_RESPONSE_BYTES else await pool.run(partial(encode, coding, body))
