"""Assets: documents and files that are the same for every client."""

from collections.abc import Mapping
from hashlib import sha256

import attrs
from aiohttp import hdrs, web

from adapters.content_coding import CODINGS, encode_small
from entrypoints.http.messages.compression import MIN_COMPRESSED_BYTES, choose_coding
from entrypoints.http.messages.entity_tags import names_any_tag, names_tag, not_modified, tag_headers


@attrs.frozen
class Asset:
    """The bytes of an asset in each content coding, and the headers of its responses."""

    encoded: Mapping[str | None, bytes]
    etag: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, content: bytes, content_type: str, headers: Mapping[str, str]) -> "Asset":
        """Return an asset, compressed once and for all. It takes milliseconds: call it in a thread."""
        encoded: dict[str | None, bytes] = {None: content}
        if len(content) >= MIN_COMPRESSED_BYTES:
            encoded.update((coding, encode_small(coding, content)) for coding in CODINGS)
        etag = sha256(content).hexdigest()[:32]
        return cls(encoded, etag, {**headers, hdrs.CONTENT_TYPE: content_type, **tag_headers(etag)})

    def respond(self, request: web.Request) -> web.Response:
        """Return the asset, or 304 if the client has it already."""
        if names_tag(request, self.etag) or names_any_tag(request):
            return not_modified(self.headers)
        coding = choose_coding(request)
        if coding not in self.encoded:
            coding = None
        headers = self.headers if coding is None else {**self.headers, hdrs.CONTENT_ENCODING: coding}
        return web.Response(body=self.encoded[coding], headers=headers)
