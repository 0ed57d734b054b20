"""Requests whose end is ambiguous: rejected, and nothing behind them is a request."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from tests.servers import DEADLINE_SECONDS, POST_RUN, Api, installed_command, serving_process

RUN: Final = json.dumps(
    {
        "event_id": "smuggled",
        "run_id": "smuggled",
        "agent_name": "a",
        "job_type": "j",
        "start_time": "2026-01-31T12:00:00Z",
    }
).encode()
SECOND: Final = POST_RUN + b"Content-Length: %d\r\n\r\n%s" % (len(RUN), RUN)
"""A valid request, which a fooled server takes for the next one."""


def _sized(*lines: bytes, body: bytes = RUN) -> bytes:
    return POST_RUN + b"\r\n".join([*lines, b"", body])


def _chunked(body: bytes, *lines: bytes) -> bytes:
    return _sized(b"Transfer-Encoding: chunked", *lines, body=body)


LENGTH: Final = b"%d" % len(RUN)
SIZE: Final = b"%x" % len(RUN)
WHOLE: Final = SIZE + b"\r\n" + RUN + b"\r\n0\r\n\r\n"

FORMS: Final = {
    "two equal lengths": _sized(b"Content-Length: " + LENGTH, b"Content-Length: " + LENGTH),
    "two lengths": _sized(b"Content-Length: " + LENGTH, b"Content-Length: 0"),
    "two lengths, the other way": _sized(b"Content-Length: 0", b"Content-Length: " + LENGTH),
    "lengths in a list": _sized(b"Content-Length: " + LENGTH + b", " + LENGTH),
    "length and chunked": _chunked(WHOLE, b"Content-Length: " + LENGTH),
    "chunked and length": _sized(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=WHOLE),
    "length +5": _sized(b"Content-Length: +" + LENGTH),
    "length -5": _sized(b"Content-Length: -" + LENGTH),
    "length 0x": _sized(b"Content-Length: 0x" + SIZE),
    "length with a letter": _sized(b"Content-Length: " + LENGTH + b"a"),
    "length with a point": _sized(b"Content-Length: " + LENGTH + b".0"),
    "length in two parts": _sized(b"Content-Length: 1 2"),
    "length with underscore": _sized(b"Content-Length: 1_0"),
    "empty length": _sized(b"Content-Length: "),
    "length in other digits": _sized("Content-Length: \uff15".encode()),
    "length beyond 64 bits": _sized(b"Content-Length: 18446744073709551617"),
    "space before the colon": _sized(b"Content-Length : " + LENGTH),
    "tab before the colon": _sized(b"Transfer-Encoding\t: chunked", body=WHOLE),
    "space before the name": _sized(b" Content-Length: " + LENGTH),
    "no name": _sized(b": " + LENGTH),
    "no colon": _sized(b"Content-Length " + LENGTH),
    "NUL in a name": _sized(b"Content\0-Length: " + LENGTH),
    "NUL in a value": _sized(b"Content-Length: " + LENGTH + b"\0"),
    "NUL in a header": _sized(b"X-A: a\0b", b"Content-Length: " + LENGTH),
    "carriage return in a header": _sized(b"X-A: a\rContent-Length: 0", b"Content-Length: " + LENGTH),
    "folded header": _sized(b"X-A: a", b" b", b"Content-Length: " + LENGTH),
    "folded length": _sized(b"Content-Length:", b" " + LENGTH),
    "folded coding": _sized(b"Transfer-Encoding:", b"\tchunked", body=WHOLE),
    "bare LF behind a header": _sized(b"X-A: a\nContent-Length: " + LENGTH),
    "bare LF behind the request line": _sized(b"Content-Length: " + LENGTH).replace(b"1.1\r\n", b"1.1\n", 1),
    "bare LF everywhere": _sized(b"Content-Length: " + LENGTH).replace(b"\r\n", b"\n"),
    "bare LF behind the head": _sized(b"Content-Length: " + LENGTH).replace(b"\r\n\r\n", b"\r\n\n"),
    "bare CR behind the head": _sized(b"Content-Length: " + LENGTH).replace(b"\r\n\r\n", b"\r\n\r"),
    "chunked twice": _sized(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=WHOLE),
    "chunked in a list twice": _sized(b"Transfer-Encoding: chunked, chunked", body=WHOLE),
    "chunked is not last": _sized(b"Transfer-Encoding: chunked, gzip", body=WHOLE),
    "chunked, then identity": _sized(b"Transfer-Encoding: chunked, identity", body=WHOLE),
    "unknown coding before chunked": _sized(b"Transfer-Encoding: x, chunked", body=WHOLE),
    "unknown coding": _sized(b"Transfer-Encoding: xchunked", body=WHOLE),
    "identity and a length": _sized(b"Transfer-Encoding: identity", b"Content-Length: " + LENGTH),
    "coding in quotes": _sized(b'Transfer-Encoding: "chunked"', body=WHOLE),
    "coding behind a vertical tab": _sized(b"Transfer-Encoding: \x0bchunked", body=WHOLE),
    "empty coding": _sized(b"Transfer-Encoding: ", b"Content-Length: " + LENGTH),
    "chunked in HTTP/1.0": _chunked(WHOLE).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "chunk size +5": _chunked(b"+" + WHOLE),
    "chunk size -5": _chunked(b"-" + WHOLE),
    "chunk size 0x5": _chunked(b"0x" + WHOLE),
    "chunk size in two parts": _chunked(SIZE + b" 1\r\n" + RUN + b"\r\n0\r\n\r\n"),
    "chunk size with underscore": _chunked(b"0_" + WHOLE),
    "space before a chunk size": _chunked(b" " + WHOLE),
    "space behind a chunk size": _chunked(WHOLE.replace(b"\r\n", b" \r\n", 1)),
    "empty chunk size": _chunked(b"\r\n" + WHOLE),
    "chunk size beyond 64 bits": _chunked(b"1" + b"0" * 16 + WHOLE),
    "bare LF behind a chunk size": _chunked(WHOLE.replace(b"\r\n", b"\n", 1)),
    "bare CR behind a chunk size": _chunked(WHOLE.replace(b"\r\n", b"\r", 1)),
    "bare LF behind a chunk": _chunked(WHOLE.replace(RUN + b"\r\n", RUN + b"\n")),
    "nothing behind a chunk": _chunked(WHOLE.replace(RUN + b"\r\n", RUN)),
    "junk behind a chunk": _chunked(WHOLE.replace(RUN + b"\r\n", RUN + b"xx\r\n")),
    "bare LF in a chunk extension": _chunked(WHOLE.replace(b"\r\n", b";a\nb\r\n", 1)),
    "bare LF at the end": _chunked(WHOLE.replace(b"0\r\n\r\n", b"0\n\n")),
    "trailer without a colon": _chunked(WHOLE[:-2] + b"GET / HTTP/1.1\r\n\r\n"),
    "folded trailer": _chunked(WHOLE[:-2] + b"X-A: a\r\n b\r\n\r\n"),
    "no version": b"POST /api/v1/runs\r\n\r\n",
    "tabs in the request line": _sized(b"Content-Length: " + LENGTH).replace(b" ", b"\t", 2),
    "version 1.10": _sized(b"Content-Length: " + LENGTH).replace(b"HTTP/1.1", b"HTTP/1.10", 1),
    "version http/1.1": _sized(b"Content-Length: " + LENGTH).replace(b"HTTP/1.1", b"http/1.1", 1),
    "space in the target": _sized(b"Content-Length: " + LENGTH).replace(b"/runs", b"/ru ns", 1),
    "control in the target": _sized(b"Content-Length: " + LENGTH).replace(b"/runs", b"/ru\x01ns", 1),
    "method with a colon": _sized(b"Content-Length: " + LENGTH).replace(b"POST", b"PO:ST", 1),
    "no host": _sized(b"Content-Length: " + LENGTH).replace(b"Host: localhost\r\n", b"", 1),
    "two hosts": _sized(b"Host: y", b"Content-Length: " + LENGTH),
    "long request line": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "long header": _sized(b"X-A: " + b"a" * 20_000, b"Content-Length: " + LENGTH),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 32 + b"\r\n\r\n",
}


@pytest.fixture(scope="module", params=["C", "Python"])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server process with either of aiohttp's parsers; it logs nothing about client errors."""
    environment = {"AIOHTTP_NO_EXTENSIONS": "1"} if request.param == "Python" else {}
    options, folder = ("--port", "0", "--body-seconds", "1"), tmp_path_factory.mktemp("smuggling")
    with serving_process(options, folder, environment, installed_command) as served:
        yield served.api
        assert ("_http_parser" in loaded_files(served.process.pid)) == (request.param == "C")


def loaded_files(pid: int) -> str:
    """The paths of what a process has mapped, such as extension modules."""
    return Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")


def exchange(api: Api, sent: bytes) -> bytes:
    """Return everything the server sends for these bytes until it closes the connection, which it must do."""
    address = urlsplit(api.url)
    received = bytearray()
    with socket.create_connection((address.hostname, address.port), DEADLINE_SECONDS) as connection:
        connection.sendall(sent)
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionResetError:
            # Unread data makes the kernel reset the connection after the response.
            pass
    return bytes(received)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_what_could_be_read_in_two_ways_is_refused(api: Api, form: bytes) -> None:
    """The only response is a 400 (431 for a line that is too long) in JSON, the connection closes, nothing is stored.

    If the Python parser waits for the rest of a chunk, everything after is body and there is a 408 in the end.
    """
    before = api.find().body["total"]
    answer = exchange(api, form + SECOND)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/1\.[01] (400|408|431) ", head), answer
    assert b"application/json" in head
    shown = json.loads(body)
    assert shown.keys() == {"detail", "request_id"}
    assert f"\r\nX-Request-ID: {shown['request_id']}".encode() in head
    assert answer.count(b"HTTP/1.") == 1
    assert api.find().body["total"] == before
