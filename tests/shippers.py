"""The very bytes of the requests of log shippers.

What Vector sends is from its http sink (``config.rs``, ``encoder.rs`` and ``service.rs`` in ``src/sinks/http``, and the
default headers in ``src/http.rs``, of github.com/vectordotdev/vector): hyper writes names in lower case, there is no
line end behind the last line, keys are sorted, the codec ``json`` is framed as an array or as ``newline_delimited``.

What Fluent Bit sends is from its output plugin http (``plugins/out_http/http.c`` of github.com/fluent/fluent-bit): the
formats ``json_lines`` and ``json``, ``compress gzip``, and in each record its own time under ``json_date_key``.
"""

import gzip
import http.client
import json
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from tests.http_streams import NDJSON, STREAM
from tests.jobs import sent_run
from tests.servers import DEADLINE_SECONDS, Answer, Api

JSON = "application/json"

VECTOR_EVENTS = [
    sent_run(f"v{number}", host="worker-1", source_type="file", timestamp="2026-01-31T12:00:00.123456789Z")
    for number in range(3)
]
FLUENT_RECORDS = [{"date": 1769860800.123456 + number, **sent_run(f"f{number}")} for number in range(3)]


def compact(document: object) -> str:
    """Return JSON without spaces."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def vector_request(kind: str, *, compressed: bool, token: str | None = None) -> bytes:
    """Return what the http sink of Vector sends."""
    events = [compact(dict(sorted(event.items()))) for event in VECTOR_EVENTS]
    body = ("\n".join(events) if kind == NDJSON else f"[{','.join(events)}]").encode()
    encoding = ["content-encoding: gzip"] if compressed else []
    authorization = [f"authorization: Bearer {token}"] if token else []
    return request(
        body,
        [
            f"content-type: {kind}",
            *encoding,
            *authorization,
            "user-agent: Vector/0.47.0 (x86_64-unknown-linux-gnu 3d5af22 2025-05-20 13:53:55.511793677)",
            "accept-encoding: identity",
            "host: 127.0.0.1:8765",
            "content-length: {size}",
        ],
        compressed=compressed,
    )


def fluent_bit_request(kind: str, *, compressed: bool, headers: Sequence[str] = ()) -> bytes:
    """Return what the output plugin http of Fluent Bit sends, with these further headers."""
    records = [compact(record) for record in FLUENT_RECORDS]
    body = ("".join(f"{record}\n" for record in records) if kind == NDJSON else f"[{','.join(records)}]").encode()
    encoding = ["Content-Encoding: gzip"] if compressed else []
    return request(
        body,
        [
            "Host: 127.0.0.1:8765",
            "Content-Length: {size}",
            f"Content-Type: {kind}",
            *encoding,
            "User-Agent: Fluent-Bit",
            *headers,
        ],
        compressed=compressed,
    )


def request(body: bytes, head: list[str], *, compressed: bool) -> bytes:
    """Return the bytes of a request."""
    content = gzip.compress(body) if compressed else body
    lines = [f"POST {STREAM} HTTP/1.1", *(line.format(size=len(content)) for line in head), "", ""]
    return "\r\n".join(lines).encode() + content


def answer_to(api: Api, content: bytes, times: int = 1) -> list[Answer]:
    """Send the same bytes again and again over one connection, as shippers do, and return the responses."""
    address = urlsplit(api.url)
    answers = []
    with socket.create_connection((address.hostname, address.port), DEADLINE_SECONDS) as link:
        for _ in range(times):
            link.sendall(content)
            with http.client.HTTPResponse(link) as response:
                response.begin()
                answers.append(Answer(response.status, response.headers, json.loads(response.read())))
    return answers
