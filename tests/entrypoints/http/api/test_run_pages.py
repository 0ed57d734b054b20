"""Large pages over HTTP: sent in parts as one document, and recognizable as incomplete when cut off."""

import gzip
import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import apsw
import pytest
import zstandard

from tests.servers import DEADLINE_SECONDS, Api, MakeRun, Start

RUNS = 30
TEXT = "\u00e9" * 50_000
"""Ten runs with such a text fill a part."""


@pytest.fixture
def server(start: Start, make_run: MakeRun) -> Iterator[Api]:
    """A server with runs for three parts."""
    with start() as api:
        runs = [make_run(event_id=f"e{number:02}", error_details=TEXT, run_id="large") for number in range(RUNS)]
        assert api.lenient(runs, Prefer="return=minimal").status == 201
        yield api


def fetch(api: Api, method: str = "GET", **query: Any) -> tuple[http.client.HTTPResponse, bytes]:
    """Return the head of a page and its bytes."""
    accept = query.pop("accept", "identity")
    connection = http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=DEADLINE_SECONDS)
    with closing(connection):
        connection.request(method, f"/api/v1/runs?{urlencode(query)}", headers={"Accept-Encoding": accept})
        response = connection.getresponse()
        return response, response.read()


@pytest.mark.parametrize("accept", ["identity", "gzip", "zstd"])
@pytest.mark.parametrize("query", [{"limit": RUNS}, {"limit": 25, "cursor": ""}, {"limit": 25, "offset": 2}])
def test_a_page_in_parts_is_the_same_document(server: Api, accept: str, query: dict[str, Any]) -> None:
    """All parts together hold each run once, in order, with the page's total and cursor, in any coding."""
    response, raw = fetch(server, accept=accept, **query)
    assert response.headers["Transfer-Encoding"] == "chunked"
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Content-Encoding"] == (None if accept == "identity" else accept)
    decoded = {
        "identity": bytes,
        "gzip": gzip.decompress,
        "zstd": lambda content: zstandard.ZstdDecompressor().decompressobj().decompress(content),
    }[accept](raw)
    page = json.loads(decoded)
    assert list(page) == ["runs", "total", "limit", "offset", "next_cursor"]
    newest_first = [f"e{number:02}" for number in reversed(range(RUNS))]
    offset = query.get("offset", 0)
    assert [run["event_id"] for run in page["runs"]] == newest_first[offset : offset + query["limit"]]
    assert all(run["error_details"] == TEXT for run in page["runs"])
    assert (page["total"], page["limit"], page["offset"]) == (
        None if "cursor" in query else RUNS,
        query["limit"],
        offset,
    )
    if page["next_cursor"] is not None:
        rest = server.find(cursor=page["next_cursor"], limit=RUNS)
        assert rest.event_ids == newest_first[offset + query["limit"] :]
    assert (page["next_cursor"] is None) == (offset + query["limit"] >= RUNS)


def test_a_page_of_one_part_has_a_length(server: Api) -> None:
    """A page that fits in one part is sent whole."""
    response, raw = fetch(server, limit=5)
    assert int(response.headers["Content-Length"]) == len(raw)


def test_head_of_a_page_in_parts_has_no_body(server: Api) -> None:
    """HEAD reads no more than the first part."""
    response, raw = fetch(server, "HEAD", limit=RUNS)
    assert (response.status, raw) == (200, b"")


def test_http_1_0_gets_the_page_until_the_end_of_the_connection(server: Api) -> None:
    """A client without chunked encoding gets the same document."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), DEADLINE_SECONDS) as client:
        client.sendall(f"GET /api/v1/runs?limit={RUNS} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        received = b"".join(iter(lambda: client.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert len(json.loads(body)["runs"]) == RUNS


def test_a_page_that_cannot_be_read_to_its_end_breaks_off(
    server: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If a run in a later part is damaged, the client can tell that the page is incomplete, and the log says why."""
    with closing(apsw.Connection(str(tmp_path / "runs.db"))) as other:
        other.execute("UPDATE runs SET status = 'damaged' WHERE event_id = 'e03'")
    with pytest.raises(http.client.IncompleteRead):
        fetch(server, limit=RUNS)
    assert any("GET /api/v1/runs was cut off: the database is damaged" in text for text in caplog.messages)
    assert server.request("GET", "/health").status == 200


def test_runs_deleted_between_parts_are_no_trouble(server: Api, tmp_path: Path) -> None:
    """A page whose remaining runs were deleted meanwhile ends as a valid document."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=DEADLINE_SECONDS)
    with closing(connection), closing(apsw.Connection(str(tmp_path / "runs.db"))) as other:
        connection.request("GET", f"/api/v1/runs?limit={RUNS}")
        response = connection.getresponse()
        other.execute("DELETE FROM runs WHERE event_id < 'e10'")
        page = json.loads(response.read())
    found = [run["event_id"] for run in page["runs"]]
    assert found[:20] == [f"e{number:02}" for number in range(29, 9, -1)]
    assert page["next_cursor"] is None
