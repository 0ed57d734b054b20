"""Reject ambiguous request heads that aiohttp accepts.

If two servers in a chain disagree on where a request ends, a client can smuggle in a second one (RFC 9112, section
11.2). Both of aiohttp's parsers reject most such heads; this module rejects the rest.
"""

import re
from http import HTTPStatus
from typing import Final

from aiohttp import HttpVersion11, hdrs, web

from entrypoints.http.rejections import RejectedRequestError

_CHUNKED: Final = re.compile("chunked", re.ASCII | re.IGNORECASE)
_LENGTH: Final = re.compile("[0-9]{1,18}", re.ASCII)
_CONTROL: Final = re.compile("[\x00-\x20\x7f]")


def check_framing(request: web.Request) -> None:
    """Raise ``RejectedRequestError`` for an ambiguous head, and close the connection."""
    ambiguity = _ambiguity(request)
    if ambiguity is not None:
        raise RejectedRequestError(HTTPStatus.BAD_REQUEST, ambiguity, closes=True)


def _ambiguity(request: web.Request) -> str | None:
    headers = request.headers
    codings = headers.getall(hdrs.TRANSFER_ENCODING, ())
    # An unknown coding, or chunked within chunked, cannot be decoded (RFC 9112, section 6.1).
    if codings and (len(codings) > 1 or not _CHUNKED.fullmatch(codings[0])):
        return "Transfer-Encoding must be chunked, exactly once"
    lengths = headers.getall(hdrs.CONTENT_LENGTH, ())
    if lengths and (codings or len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0])):
        return "Content-Length must be one number, and must not be combined with Transfer-Encoding"
    if len(headers.getall(hdrs.HOST, ())) != 1 and request.version >= HttpVersion11:
        return "exactly one Host is required (RFC 9112, section 3.2)"
    if _CONTROL.search(request.raw_path):
        return "the target must not contain spaces or control characters"
    return None
