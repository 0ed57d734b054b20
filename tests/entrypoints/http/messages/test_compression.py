"""Compressed request bodies and responses over HTTP."""

import gzip
import http.client
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import zstandard

from adapters.content_coding import CODINGS
from entrypoints.http.messages.headers import preferred_coding
from tests.servers import DEADLINE_SECONDS, Answer, Api, MakeRun

BATCH = "/api/v1/runs/batch"
MAX_BODY_BYTES = 16 * 1024 * 1024


def zstd(content: bytes) -> bytes:
    """Return the content as one zstd frame."""
    return zstandard.ZstdCompressor().compress(content)


ENCODERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "x-gzip": gzip.compress, "zstd": zstd}
every_encoding = pytest.mark.parametrize("encoding", ["gzip", "zstd"])


def requests_with_bodies(run: dict[str, Any]) -> list[tuple[str, str, object]]:
    """One valid request to every route with a body, the run's creation first."""
    one = f"/api/v1/runs/{run['event_id']}"
    return [
        ("POST", "/api/v1/runs", run),
        ("POST", BATCH, {"runs": [run]}),
        ("POST", "/api/v1/runs/batch-transactional", {"runs": [run]}),
        ("PATCH", one, {"status": "success"}),
        ("POST", f"{one}/associate-commit", {"commit_hash": "abcdef1", "commit_source": "ci"}),
    ]


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "zstd", "GZIP", "identity, zstd", " gzip , "])
def test_every_route_with_a_body_takes_it_compressed(shared_server: Api, make_run: MakeRun, encoding: str) -> None:
    """Both codings, under all their names, on every POST and PATCH; what was sent is stored."""
    encode = zstd if "zstd" in encoding else gzip.compress
    run = make_run(product="compressed")
    for method, path, document in requests_with_bodies(run):
        answer = shared_server.send(method, path, encode(json.dumps(document).encode()), Content_Encoding=encoding)
        assert answer.status in (200, 201), (path, answer.body)
    stored = shared_server.stored(run["event_id"])
    assert (stored["product"], stored["status"], stored["commit_hash"]) == ("compressed", "success", "abcdef1")


@pytest.mark.parametrize("encoding", ["br", "deflate", "x-unknown", "gzip, br", "gzip, gzip", "zstd, gzip", "\xff"])
def test_unknown_encoding_is_415(shared_server: Api, make_run: MakeRun, encoding: str) -> None:
    """An unknown coding, or more than one, gets 415 everywhere, with the supported ones (RFC 9110, 15.5.16)."""
    for method, path, document in requests_with_bodies(make_run()):
        answer = shared_server.send(method, path, document, Content_Encoding=encoding)
        assert answer.status == 415
        assert "Content-Encoding must be one of zstd, gzip" in answer.body["detail"]
        assert answer.headers["Accept-Encoding"] == "zstd, gzip, identity"


@every_encoding
@pytest.mark.parametrize("damage", ["cut", "junk", "plain", "empty"])
def test_damaged_body_is_400_and_stores_nothing(
    shared_server: Api, make_run: MakeRun, encoding: str, damage: str
) -> None:
    """Content that is truncated, followed by something else, or not compressed gets 400 that says so."""
    run = make_run()
    for method, path, document in requests_with_bodies(run):
        plain = json.dumps(document).encode()
        whole = ENCODERS[encoding](plain)
        body = {"cut": whole[:-1], "junk": whole + b"junk", "plain": plain, "empty": b""}[damage]
        answer = shared_server.send(method, path, body, Content_Encoding=encoding)
        assert answer.status == 400
        assert answer.body["detail"].startswith(f"the body cannot be decompressed: the {encoding} content")
    assert shared_server.find(event_id=run["event_id"]).body["total"] == 0


@every_encoding
def test_body_in_several_members_is_one_body(shared_server: Api, make_run: MakeRun, encoding: str) -> None:
    """A body compressed in several pieces is decoded as one."""
    plain = json.dumps({"runs": [make_run()]}).encode()
    body = b"".join(ENCODERS[encoding](plain[at : at + 50]) for at in range(0, len(plain), 50))
    assert shared_server.send("POST", BATCH, body, Content_Encoding=encoding).status == 201


@every_encoding
def test_body_at_the_limit_is_taken_compressed(shared_server: Api, make_run: MakeRun, encoding: str) -> None:
    """A body of exactly the limit after decompression is stored; one byte more gets 413."""
    plain = json.dumps({"runs": [make_run()]}).encode().ljust(MAX_BODY_BYTES)
    answer = shared_server.send("POST", BATCH, ENCODERS[encoding](plain), Content_Encoding=encoding)
    assert (answer.status, answer.counts) == (201, (1, 1, 0, 0))
    answer = shared_server.send("POST", BATCH, ENCODERS[encoding](plain + b" "), Content_Encoding=encoding)
    assert answer.status == 413
    assert f"{MAX_BODY_BYTES} bytes after decompression (max_body_bytes)" in answer.body["detail"]


@every_encoding
def test_too_many_members_are_413(shared_server: Api, encoding: str) -> None:
    """Members are counted, since even empty ones cost something; the response names the limit."""
    body = ENCODERS[encoding](b"") * 10_001
    answer = shared_server.send("POST", BATCH, body, Content_Encoding=encoding)
    assert answer.status == 413
    assert f"10000 {encoding} members (max_body_members)" in answer.body["detail"]


def fetch(api: Api, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[Answer, bytes]:
    """Return the response with its body decoded, and the raw bytes; a body is sent as JSON."""
    sent = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
    connection = http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=DEADLINE_SECONDS)
    try:
        connection.request(method, path, body, sent)
        response = connection.getresponse()
        raw = response.read()
    finally:
        connection.close()
    undo = {None: bytes, "gzip": gzip.decompress, "zstd": zstandard.ZstdDecompressor().decompress}
    plain = undo[response.headers["Content-Encoding"]](raw)
    return Answer(response.status, response.headers, json.loads(plain) if plain else None), raw


@pytest.mark.parametrize("count", [10, 500])
@every_encoding
def test_answer_is_compressed_for_who_accepts_it(
    shared_server: Api, make_run: MakeRun, encoding: str, count: int
) -> None:
    """A large response is compressed, has the same content, and sets Content-Encoding and Vary."""
    runs = [make_run() for _ in range(count)]
    body = json.dumps({"runs": runs}).encode()
    plain, raw = fetch(shared_server, "POST", BATCH, body)
    assert (plain.headers["Content-Encoding"], plain.headers["Vary"]) == (None, "Accept-Encoding")
    body = json.dumps({"runs": runs}).encode()
    answer, compressed = fetch(shared_server, "POST", BATCH, body, Accept_Encoding=encoding)
    assert (answer.headers["Content-Encoding"], answer.headers["Vary"]) == (encoding, "Accept-Encoding")
    assert answer.body["runs"] == plain.body["runs"]
    assert len(compressed) < len(raw) / 5
    assert int(answer.headers["Content-Length"]) == len(compressed)


def test_errors_are_compressed_as_well(shared_server: Api, make_run: MakeRun) -> None:
    """A long list of errors is compressed like any other response."""
    body = json.dumps({"runs": [make_run(status="lost")] * 100}).encode()
    answer, _ = fetch(shared_server, "POST", BATCH, body, Accept_Encoding="gzip")
    assert (answer.status, answer.headers["Content-Encoding"], len(answer.body["errors"])) == (422, "gzip", 100)


@pytest.mark.parametrize(
    ("path", "vary"), [("/health", None), ("/api/v1/limits", "Accept-Encoding"), ("/nothing", None)]
)
def test_small_answer_is_never_compressed(shared_server: Api, path: str, vary: str | None) -> None:
    """A response that fits in a packet is not compressed; one with an entity tag has the headers of every size."""
    answer, _ = fetch(shared_server, "GET", path, Accept_Encoding="zstd, gzip")
    assert (answer.headers["Content-Encoding"], answer.headers["Vary"]) == (None, vary)


def test_head_has_the_fields_of_get(server: Api, make_run: MakeRun) -> None:
    """HEAD returns the length of the compressed list, without a body."""
    server.lenient([make_run() for _ in range(10)])
    whole, raw = fetch(server, "GET", "/api/v1/runs", Accept_Encoding="gzip")
    empty, nothing = fetch(server, "HEAD", "/api/v1/runs", Accept_Encoding="gzip")
    assert (len(raw), nothing) == (int(whole.headers["Content-Length"]), b"")
    assert empty.headers["Content-Length"] == whole.headers["Content-Length"]


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("", None),
        ("identity", None),
        ("br, deflate", None),
        ("gzip", "gzip"),
        ("GZip", "gzip"),
        ("gzip, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.9", "gzip"),
        ("gzip ; Q=0.2, zstd;q=0.1", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=0.000, zstd;q=0.001", "zstd"),
        ("gzip;q=0.5, identity", None),
        ("gzip;q=0.5, identity;q=0.5", "gzip"),
        ("gzip;q=0.5, identity;q=0", "gzip"),
        ("*", "zstd"),
        ("*;q=0.1, zstd;q=0", "gzip"),
        ("*;q=0, gzip", "gzip"),
        ("identity;q=0, *;q=0", None),
        ("gzip;q=2", None),
        ("gzip;q=x, zstd", "zstd"),
        ("gzip;level=9", None),
        (",,gzip,,", "gzip"),
        ("\udcff, gzip", "gzip"),
    ],
)
def test_the_client_chooses_the_coding(accepted: str, coding: str | None) -> None:
    """Weights, the asterisk and identity count as in RFC 9110, section 12.5.3; of equals the cheapest wins."""
    assert preferred_coding(accepted, CODINGS) == coding
