"""The lines of an outbox file as requests."""

import json
from typing import Any

import pytest

from adapters.telemetry_outbox.entries import Entry, Kind, Unreadable, parse_line

RUNS = "/api/v1/runs"


def line(endpoint: object, method: object = "POST", payload: object = None) -> bytes:
    """A line as a client writes it."""
    payload = {"event_id": "e-1"} if payload is None else payload
    return json.dumps({"endpoint": endpoint, "method": method, "payload": payload, "timestamp": 1.5}).encode() + b"\n"


def parsed(text: bytes) -> Entry:
    """The one entry of a line."""
    (entry,) = parse_line(text)
    assert isinstance(entry, Entry)
    return entry


@pytest.mark.parametrize("prefix", ["", "http://127.0.0.1:8765", "https://runs.example/telemetry", "/telemetry"])
def test_endpoint_may_be_a_path_or_a_url(prefix: str) -> None:
    """Only the path of the API counts, so that nothing is sent to another server."""
    entry = parsed(line(f"{prefix}{RUNS}"))
    assert (entry.kind, entry.method, entry.path, entry.event_id) == (Kind.CREATION, "POST", RUNS, "e-1")


@pytest.mark.parametrize(
    ("method", "rest", "kind", "path", "event_id"),
    [
        ("PATCH", "/e-1", Kind.CHANGE, "/e-1", "e-1"),
        ("patch", "/e-1/", Kind.CHANGE, "/e-1", "e-1"),
        ("POST", "/e-1/associate-commit", Kind.CHANGE, "/e-1/associate-commit", "e-1"),
        ("PATCH", "/a b/c", Kind.CHANGE, "/a%20b%2Fc", "a b/c"),
        ("PATCH", "/a%20b%2Fc", Kind.CHANGE, "/a%20b%2Fc", "a b/c"),
        ("POST", "/", Kind.CREATION, "", "e-1"),
        ("POST", "/batch", Kind.BATCH, "/batch", None),
        ("POST", "/batch-transactional", Kind.BATCH, "/batch-transactional", None),
    ],
)
def test_what_an_entry_asks_for(method: str, rest: str, kind: Kind, path: str, event_id: str | None) -> None:
    """Creations, batches, changes and commits; a key that is not encoded as a path needs is encoded."""
    entry = parsed(line(RUNS + rest, method))
    assert (entry.kind, entry.path, entry.event_id) == (kind, RUNS + path, event_id)


@pytest.mark.parametrize(
    ("endpoint", "method", "payload"),
    [
        ("/api/v1/jobs/1", "DELETE", {}),
        (f"{RUNS}/e-1", "DELETE", {}),
        (f"{RUNS}/e-1", "POST", {}),
        (RUNS, "GET", {}),
        ("/elsewhere", "POST", {}),
        (f"{RUNS}?x=1", "POST", {}),
        (1, "POST", {}),
        (RUNS, None, {}),
        (RUNS, "POST", []),
    ],
)
def test_anything_else_is_unreadable(endpoint: object, method: object, payload: Any) -> None:
    """What is no write of a Local Telemetry client is never sent."""
    (found,) = parse_line(line(endpoint, method, payload))
    assert isinstance(found, Unreadable)
    assert found.reason


@pytest.mark.parametrize("text", [b"{", b"[]", b"\xff", b'{"endpoint": "/api/v1/ru', b"[" * 100_000, b"1" * 5000])
def test_damaged_line_is_unreadable(text: bytes) -> None:
    """Whatever it is, it comes back as it is."""
    assert [type(found) for found in parse_line(text)] == [Unreadable]
    assert parse_line(text)[0].raw == text


@pytest.mark.parametrize("text", [b"", b"\n", b" \r\n"])
def test_blank_line_holds_nothing(text: bytes) -> None:
    """It is no error either."""
    assert parse_line(text) == ()


@pytest.mark.parametrize("cut", range(1, len(line(RUNS)) - 1))
def test_entry_after_half_an_entry_is_found(cut: int) -> None:
    """A client that was killed left half a line; the next one appended its own to it."""
    half, whole = line(RUNS)[:cut], line(f"{RUNS}/e-1", "PATCH", {"status": "success"})
    unreadable, entry = parse_line(half + whole)
    assert unreadable.raw == half
    assert isinstance(unreadable, Unreadable)
    assert isinstance(entry, Entry)
    assert entry.raw + b"\n" == whole
