"""Request bodies: read, decompress and check them."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Self

import attrs
from aiohttp import web

from adapters.content_coding import CODINGS, ContentTooLargeError, CorruptContentError, TooManyMembersError, decode
from adapters.wire.otlp.responses import ExportFormat
from adapters.wire.value_count import UNCOUNTED_BYTES, holds_more_values
from core.model.limits import Limits
from core.model.stream import StreamFormat
from core.validation.fields import describe
from entrypoints.http.messages.headers import NDJSON_TYPES
from entrypoints.http.messages.responses import say_continue
from entrypoints.http.pressure.admission import Lease
from entrypoints.http.rejections import RejectedRequestError

INLINE_BODY_BYTES = 256 * 1024
"""Bodies up to this size are decoded on the event loop: it takes 2 or 3 ms, and switching threads costs more."""

_CODING_NAMES = {coding: coding for coding in (*CODINGS, "identity")} | {"x-gzip": "gzip"}
"""Accepted ``Content-Encoding`` values; ``x-gzip`` is gzip (RFC 9110, section 8.4.1.3)."""


class UnacceptableBodyError(RejectedRequestError):
    """A body of the wrong type, with an unknown or damaged encoding, or too large. Raised before decoding its JSON."""


RunInThread = Callable[[Callable[[], bytes]], Awaitable[bytes]]
"""Runs in another thread what would block the event loop."""


@attrs.frozen
class Allowance:
    """The limits of a body; ``bytes_name`` is the name of the limit on its bytes."""

    max_bytes: int
    bytes_name: str
    max_members: int
    max_values: int
    values_name: str = "max_body_values"

    @classmethod
    def of_batch(cls, limits: Limits) -> Self:
        """Return the limits of a batch."""
        return cls(limits.max_body_bytes, "max_body_bytes", limits.max_body_members, limits.max_body_values)

    @classmethod
    def of_run(cls, limits: Limits) -> Self:
        """Return the limits of a run, or of changes to one."""
        return cls(limits.max_run_bytes, "max_run_bytes", limits.max_body_members, limits.max_body_values)

    @classmethod
    def of_traces(cls, limits: Limits) -> Self:
        """Return the limits of a request of spans; that on values holds in JSON."""
        values, values_name = limits.max_traces_values, "max_traces_values"
        return cls(limits.max_traces_bytes, "max_traces_bytes", limits.max_body_members, values, values_name)


async def read_json_body(request: web.Request, allowed: Allowance, lease: Lease, run_in_thread: RunInThread) -> bytes:
    """Return the decompressed bytes of a JSON body; the lease grows as they arrive.

    A body without a type is rejected: a page of another site could send one without a preflight.

    Raises:
        UnacceptableBodyError: 415 for a missing type, a type other than JSON or an unknown encoding, 400 for damaged
            compressed bytes, 413 for too many bytes, before or after decompression, or too many values.
        OverloadedError: there is no capacity for the bytes.
    """
    _check_type(request)
    content = await read_body(request, allowed, lease, run_in_thread)
    if len(content) > UNCOUNTED_BYTES:
        return await run_in_thread(partial(check_values, content, allowed))
    return content


async def read_body(request: web.Request, allowed: Allowance, lease: Lease, run_in_thread: RunInThread) -> bytes:
    """Return the decompressed bytes of a body of any type; raise as ``read_json_body``, but for its values."""
    coding = content_coding(request)
    content = _take(request, allowed, lease) if request.content.is_eof() else await _read(request, allowed, lease)
    if coding is not None:
        sent = len(content)
        content = await _decompressed(coding, content, allowed, run_in_thread)
        lease.grow(max(0, len(content) - sent))
    return content


async def _read(request: web.Request, allowed: Allowance, lease: Lease) -> bytes:
    if (request.content_length or 0) > allowed.max_bytes:
        raise _too_large(allowed)
    lease.require(request.content_length or 0)
    say_continue(request)
    chunks = bytearray()
    async for chunk in request.content.iter_any():
        lease.grow(len(chunk))
        chunks += chunk
        if len(chunks) > allowed.max_bytes:
            raise _too_large(allowed)
    return bytes(chunks)


def _take(request: web.Request, allowed: Allowance, lease: Lease) -> bytes:
    """Return a body that has arrived whole, as a small one does with its head."""
    content = request.content.read_nowait()
    if len(content) > allowed.max_bytes:
        raise _too_large(allowed)
    lease.grow(len(content))
    say_continue(request)
    return content


async def _decompressed(coding: str, content: bytes, allowed: Allowance, run_in_thread: RunInThread) -> bytes:
    if len(content) <= INLINE_BODY_BYTES:
        # If the result is larger, decompression starts again in a thread.
        with suppress(ContentTooLargeError):
            return _decode(coding, content, min(INLINE_BODY_BYTES, allowed.max_bytes), allowed.max_members)
    try:
        return await run_in_thread(partial(_decode, coding, content, allowed.max_bytes, allowed.max_members))
    except ContentTooLargeError:
        raise _too_large(allowed, " after decompression") from None


def _decode(coding: str, content: bytes, max_bytes: int, max_members: int) -> bytes:
    try:
        return decode(coding, content, max_bytes, max_members)
    except CorruptContentError as error:
        raise UnacceptableBodyError(HTTPStatus.BAD_REQUEST, f"the body cannot be decompressed: {error}") from None
    except TooManyMembersError:
        raise UnacceptableBodyError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body has more than {max_members} {coding} members (max_body_members); compress it as one",
        ) from None


def check_values(body: bytes, allowed: Allowance) -> bytes:
    """Return a body in JSON; raise ``UnacceptableBodyError`` if it has too many values."""
    if holds_more_values(body, allowed.max_values):
        raise UnacceptableBodyError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body contains more than {allowed.max_values} JSON values ({allowed.values_name})",
        )
    return body


def export_format(request: web.Request) -> ExportFormat:
    """Return how a request of spans is encoded; raise ``UnacceptableBodyError`` (415) for any other type."""
    content_type = _content_type(request, " or ".join(ExportFormat))
    if content_type not in list(ExportFormat):
        raise UnacceptableBodyError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type must be {' or '.join(ExportFormat)}, not {describe(content_type)}",
        )
    return ExportFormat(content_type)


def stream_format(request: web.Request) -> StreamFormat:
    """Return how the runs of a stream are written; raise ``UnacceptableBodyError`` (415) for any other type."""
    content_type = _content_type(request, f"{' or '.join(NDJSON_TYPES)}, or application/json")
    if content_type in NDJSON_TYPES:
        return StreamFormat.NDJSON
    if _is_json(content_type):
        return StreamFormat.JSON
    raise UnacceptableBodyError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        f"Content-Type must be {' or '.join(NDJSON_TYPES)}, or application/json; not {describe(content_type)}",
    )


def _check_type(request: web.Request) -> None:
    content_type = _content_type(request, "application/json")
    if not _is_json(content_type):
        raise UnacceptableBodyError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type must be application/json, not {describe(content_type)}"
        )


def _content_type(request: web.Request, expected: str) -> str:
    if "Content-Type" not in request.headers:
        raise UnacceptableBodyError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type is missing: it must be {expected}"
        )
    # Not request.content_type: older versions of aiohttp fail there on bytes that are not ASCII.
    return request.headers["Content-Type"].partition(";")[0].strip().lower()


def _is_json(content_type: str) -> bool:
    return content_type == "application/json" or content_type.endswith("+json")


def content_coding(request: web.Request) -> str | None:
    """Return the body's content coding, if any. At most one is accepted, to bound the cost of a small body."""
    if "Content-Encoding" not in request.headers:
        return None
    encoding = ", ".join(request.headers.getall("Content-Encoding"))
    # Empty list elements are ignored (RFC 9110, section 5.6.1.2).
    codings = [_CODING_NAMES.get(name.strip().lower(), name) for name in encoding.split(",") if name.strip()]
    applied = [coding for coding in codings if coding != "identity"]
    if len(applied) > 1 or not set(applied) <= set(CODINGS):
        raise UnacceptableBodyError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Encoding must be one of {', '.join(_CODING_NAMES)}, not {describe(encoding)}",
            {"Accept-Encoding": ", ".join((*CODINGS, "identity"))},  # RFC 9110, section 15.5.16
        )
    return next(iter(applied), None)


def _too_large(allowed: Allowance, when: str = "") -> UnacceptableBodyError:
    return UnacceptableBodyError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body exceeds {allowed.max_bytes} bytes{when} ({allowed.bytes_name})",
    )
