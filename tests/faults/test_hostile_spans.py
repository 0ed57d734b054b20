"""Hostile requests of spans: no 5xx, and bounded memory, whatever the bytes are."""

import gzip
import random
import time
from collections.abc import Iterator

import pytest

from tests.faults.costs import cost_of
from tests.figures import Figures, Scale
from tests.otlp import JSON, PROTOBUF, TYPES, Exporter, encoded, export, span
from tests.servers import Served, serving_process

MAX_BODY = 20 * 2**20
MAX_MEBIBYTES = 400
ACCEPTED = {200, 400, 413}
SEED = 4711


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server process for all of these."""
    # Nobody reads the log, which at its usual level has a line for each request.
    options = ("--port=0", "--keep-refusals=100", "--log-level=warning")
    with serving_process(options, tmp_path_factory.mktemp("hostile"), {}) as served:
        for media_type in TYPES:
            assert Exporter(served.api, media_type).send(export([span()])).status == 200
        yield served


def sample() -> list[bytes]:
    """Valid requests with every kind of value, in both encodings."""
    values = {
        "s": "text",
        "i": 2**62,
        "d": 1.5,
        "b": True,
        "l": [1, "x", None],
        "o": {"a": {"b": b"\0"}},
        "runsink.status": "x",
    }
    event = {"name": "exception", "timeUnixNano": "1", "attributes": []}
    document = export([span(number, values, events=[event]) for number in range(5)], values)
    return [encoded(document, media_type) for media_type in TYPES]


def mutated(body: bytes, chance: random.Random) -> bytes:
    """Return a body with bytes changed, removed, repeated or inserted."""
    changed = bytearray(body)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(changed))
        size = chance.randint(1, 20)
        match chance.randrange(4):
            case 0:
                changed[at] = chance.randrange(256)
            case 1:
                del changed[at : at + size]
            case 2:
                changed[at:at] = changed[at : at + size] * chance.randint(1, 5)
            case _:
                changed[at:at] = chance.randbytes(size)
        changed = changed or bytearray(b"\0")
    return bytes(changed)


def test_mutated_requests_cause_no_server_error(server: Served, scale: Scale, figures: Figures) -> None:
    """For a few seconds, or ten minutes with ``--soak``; the server goes on to store what is good."""
    chance, sent, end = random.Random(SEED), 0, time.monotonic() + scale(3, 600)  # noqa: S311 - repeatable on purpose
    bodies = sample()
    with cost_of(server.process.pid) as cost:
        while time.monotonic() < end:
            for media_type, body in zip(TYPES, bodies, strict=True):
                hostile = mutated(body, chance)
                answer = Exporter(server.api, media_type).send(hostile)
                assert answer.status in ACCEPTED, hostile
                sent += 1
    assert sent > 1
    assert cost.mebibytes < MAX_MEBIBYTES
    assert Exporter(server.api).send(export([span(100)])).status == 200
    figures(requests=sent, MiB_more=round(cost.mebibytes))


def nested(content: bytes, *fields: int) -> bytes:
    """Return a message in fields of Protocol Buffers, innermost first."""
    for field in fields:
        size, length = len(content), bytearray()
        while size > 0x7F:
            length.append(size & 0x7F | 0x80)
            size >>= 7
        content = bytes([field << 3 | 2, *length, size]) + content
    return content


LARGE = MAX_BODY - 100
GOOD_SPAN = b"\x0a\x10" + b"t" * 16 + b"\x12\x08" + b"s" * 8 + b"\x39" + b"\1" * 8
SHORT = b"".join(nested(nested(b"%06d" % number, 1), 1) for number in range(2**16))
AMPLIFYING = {
    "empty spans": (PROTOBUF, nested(b"\x12\x00" * (LARGE // 2), 2, 1)),
    "empty resources": (PROTOBUF, b"\x0a\x00" * (LARGE // 2)),
    "empty attributes": (PROTOBUF, nested(b"\x4a\x00" * (LARGE // 2), 2, 2, 1)),
    "empty values": (PROTOBUF, nested(GOOD_SPAN + nested(b"\x0a\x00" * (LARGE // 3), 5, 2, 9), 2, 2, 1)),
    "empty events": (PROTOBUF, nested(GOOD_SPAN + b"\x5a\x00" * (LARGE // 3), 2, 2, 1)),
    "numbers in a shared resource": (
        PROTOBUF,
        nested(nested(b"\x08\x01" * 2**19, 1, 1) + nested(GOOD_SPAN, 2, 2) * 1000, 1),
    ),
    "a shared resource of short attributes": (PROTOBUF, nested(nested(SHORT, 1) + nested(GOOD_SPAN, 2, 2) * 2**17, 1)),
    "a large resource": (PROTOBUF, nested(nested(b"x" * 2**20, 1, 1) + nested(GOOD_SPAN, 2, 2) * 100, 1)),
    "empty objects": (JSON, b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b"{}," * (LARGE // 4) + b"{}]}]}]}"),
    "nested lists": (JSON, b'{"resourceSpans":' + b"[" * (LARGE // 2)),
}


@pytest.mark.parametrize("what", AMPLIFYING)
def test_requests_that_would_grow_are_bounded(server: Served, figures: Figures, what: str) -> None:
    """A request of 20 MiB takes a bounded multiple of that, plain or sent as a few kilobytes of gzip."""
    media_type, body = AMPLIFYING[what]
    with cost_of(server.process.pid) as cost:
        plain = Exporter(server.api, media_type).send(body)
        packed = Exporter(server.api, media_type).send(gzip.compress(body, 1), Content_Encoding="gzip")
    assert {plain.status, packed.status} <= ACCEPTED, (plain, packed)
    assert cost.mebibytes < MAX_MEBIBYTES
    figures(what=what, MiB_more=round(cost.mebibytes))
