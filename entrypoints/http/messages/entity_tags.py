"""Entity tags: what tells a client that what it has is still current (RFC 9110, sections 8.8.3 and 13.1.2)."""

from collections.abc import Mapping
from hashlib import blake2b
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from core.model.store_version import StoreVersion

_BYTES: Final = 12


def entity_tag(request: web.Request, version: StoreVersion, server_version: str) -> str:
    """Return the tag of the response to a request that reads this version of the store.

    A server of another version may show the same runs differently. The target is part of the tag, so that a tag is
    current only for a target that exists.
    """
    text = f"{server_version}\n{version}\n{request.path_qs}"
    return blake2b(text.encode(errors="surrogatepass"), digest_size=_BYTES).hexdigest()


def content_tag(body: bytes) -> str:
    """Return the tag of a response that shows more than the store, and therefore has no version to go by."""
    return blake2b(body, digest_size=_BYTES).hexdigest()


def names_tag(request: web.Request, tag: str) -> bool:
    """Return whether the client has the response with this tag."""
    return any(known.value == tag for known in request.if_none_match or ())


def names_any_tag(request: web.Request) -> bool:
    """Return whether the client names whatever there is, by ``*`` instead of tags."""
    # The parsed header does not tell it from a tag of that text, which is quoted.
    return request.headers.get(hdrs.IF_NONE_MATCH) == "*"


def tag_headers(tag: str) -> Mapping[str, str]:
    """Return the header fields by which a client may keep a response, and has to ask each time if it is current."""
    return {
        # Weak, since it stands for the bytes in every coding (RFC 9110, section 8.8.3.3).
        hdrs.ETAG: f'W/"{tag}"',
        hdrs.CACHE_CONTROL: "no-cache",
        hdrs.VARY: hdrs.ACCEPT_ENCODING,
    }


def not_modified(headers: Mapping[str, str]) -> web.Response:
    """Return 304 with these header fields, among them the tag."""
    return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
