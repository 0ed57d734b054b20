"""Log shippers send runs as they are: the very bytes of their requests are taken with 200, the only success they know.

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
from urllib.parse import urlsplit

import pytest

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


def vector_request(kind: str, *, compressed: bool) -> bytes:
    """Return what the http sink of Vector sends."""
    events = [compact(dict(sorted(event.items()))) for event in VECTOR_EVENTS]
    body = ("\n".join(events) if kind == NDJSON else f"[{','.join(events)}]").encode()
    encoding = ["content-encoding: gzip"] if compressed else []
    return request(
        body,
        [
            f"content-type: {kind}",
            *encoding,
            "user-agent: Vector/0.47.0 (x86_64-unknown-linux-gnu 3d5af22 2025-05-20 13:53:55.511793677)",
            "accept-encoding: identity",
            "host: 127.0.0.1:8765",
            "content-length: {size}",
        ],
        compressed=compressed,
    )


def fluent_bit_request(kind: str, *, compressed: bool) -> bytes:
    """Return what the output plugin http of Fluent Bit sends."""
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


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", [NDJSON, JSON])
def test_what_vector_sends_is_taken(server: Api, kind: str, *, compressed: bool) -> None:
    """Also when it sends everything again; what is no field of a run is kept in ``extra``."""
    first, second = answer_to(server, vector_request(kind, compressed=compressed), times=2)
    assert (first.status, first.counts) == (200, (3, 3, 0, 0))
    assert (second.status, second.counts, second.body["conflicts"]) == (200, (3, 0, 3, 0), [])
    assert server.stored("v1")["extra"] == {
        name: VECTOR_EVENTS[1][name] for name in ("host", "source_type", "timestamp")
    }


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", [NDJSON, JSON])
def test_what_fluent_bit_sends_is_taken(server: Api, kind: str, *, compressed: bool) -> None:
    """The same; its own time is in ``extra``."""
    first, second = answer_to(server, fluent_bit_request(kind, compressed=compressed), times=2)
    assert (first.status, first.counts) == (200, (3, 3, 0, 0))
    assert (second.status, second.counts, second.body["conflicts"]) == (200, (3, 0, 3, 0), [])
    assert server.stored("f2")["extra"] == {"date": FLUENT_RECORDS[2]["date"]}


def test_a_bad_record_does_not_hold_up_a_shipper(server: Api) -> None:
    """It would send the whole batch again and again on any other status than 200."""
    content = fluent_bit_request(NDJSON, compressed=False).replace(b'"event_id":"f1"', b'"event_id":111 ')
    assert len(content) == len(fluent_bit_request(NDJSON, compressed=False))
    (answer,) = answer_to(server, content)
    assert (answer.status, answer.counts) == (200, (3, 2, 0, 1))
    assert [(error["line"], error["field"]) for error in answer.body["errors"]] == [(2, "event_id")]
