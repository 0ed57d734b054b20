"""The export over real HTTP: which runs, in which order and form, and what is seen of one that breaks off."""

import csv
import gzip
import io
import json
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import apsw
import pytest
import zstandard

from adapters.content_coding import encode
from core.model.run import FIELDS
from tests.http_streams import NDJSON, STREAM, Fetched, fetch, stream
from tests.jobs import lines, sent_run
from tests.servers import Api, Start

EXPORT = "/api/v1/export"
OWN = ("created_at", "updated_at")
"""What a server sets itself."""

DECODERS = {
    "identity": bytes,
    "gzip": gzip.decompress,
    "zstd": lambda content: zstandard.ZstdDecompressor().decompressobj().decompress(content),
}


def export(api: Api, method: str = "GET", accept: str = "identity", **query: Any) -> Fetched:
    """Return an export with these parameters."""
    return fetch(api, method, f"{EXPORT}?{urlencode(query)}", Accept_Encoding=accept)


def at(second: int) -> str:
    """Return an instant."""
    return f"2026-01-31T12:00:{second:02}Z"


def runs() -> list[dict[str, Any]]:
    """Return runs of every kind, in another order than that of their start."""
    return [
        sent_run("late", start_time=at(9), status="failed", end_time=at(10), duration_ms=1000),
        sent_run("first", start_time="2026-01-31T13:00:00.5+01:00", metrics_json={"b": 2**70, "a": [1.5, None, "\0"]}),
        sent_run("twin-1", start_time=at(5), shard=[None], context_json={}, error_details="a\r\n\"b\",'c'\n"),
        sent_run("twin-2", start_time=at(5), item_name="\u00e9\U0001f600", commit_hash="ABCDEF1", commit_source="ci"),
        sent_run("formula", start_time=at(7), agent_name="=1+1", input_summary="-1"),
    ]


OLDEST_FIRST = ["first", "twin-1", "twin-2", "formula", "late"]


def test_lines_oldest_first(any_server: Api) -> None:
    """One run per line, as the list shows it; of equal starts, the one that arrived first comes first."""
    assert stream(any_server, lines(runs())).counts == (5, 5, 0, 0)
    exported = export(any_server)
    assert (exported.status, exported.headers["Content-Type"]) == (200, NDJSON)
    assert exported.body.endswith(b"\n")
    assert [run["event_id"] for run in exported.lines] == OLDEST_FIRST
    assert exported.lines == any_server.find().body["runs"][::-1]
    assert export(any_server, format="ndjson").body == exported.body


def test_rows_have_every_field(any_server: Api) -> None:
    """A header, then a row a run; what a spreadsheet would evaluate is text."""
    stream(any_server, lines(runs()))
    exported = export(any_server, format="csv")
    assert exported.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(exported.body.decode(), newline="")))
    assert exported.body.split(b"\r\n", 1)[0].decode().split(",") == list(FIELDS)
    assert [row["event_id"] for row in rows] == OLDEST_FIRST
    assert rows[1]["error_details"] == "a\r\n\"b\",'c'\n"
    assert (rows[3]["agent_name"], rows[3]["input_summary"]) == ("'=1+1", "'-1")
    assert (rows[4]["duration_ms"], rows[4]["status"], rows[4]["product"]) == ("1000", "failure", "")


@pytest.mark.parametrize("kind", ["ndjson", "csv"])
def test_nothing_is_exported_as_nothing(any_server: Api, kind: str) -> None:
    """No lines, or just the header."""
    exported = export(any_server, format=kind)
    assert exported.status == 200
    assert exported.body == (b"" if kind == "ndjson" else (",".join(FIELDS) + "\r\n").encode())


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"event_id": "late"}, ["late"]),
        ({"status": "failed"}, ["late"]),
        ({"agent_name": "=1+1"}, ["formula"]),
        ({"start_time_from": at(5), "start_time_to": at(7)}, ["twin-1", "twin-2", "formula"]),
        ({"run_id": "r", "job_type": "j", "status": "running"}, OLDEST_FIRST[:-1]),
        ({"product": "none"}, []),
        ({"parent_run_id": "none"}, []),
    ],
)
def test_filters_are_those_of_the_list(any_server: Api, query: dict[str, str], expected: list[str]) -> None:
    """All that are given have to match."""
    stream(any_server, lines(runs()))
    assert [run["event_id"] for run in export(any_server, **query).lines] == expected
    rows = csv.DictReader(io.StringIO(export(any_server, format="csv", **query).body.decode(), newline=""))
    assert [row["event_id"] for row in rows] == expected


@pytest.mark.parametrize("query", ["format=xml", "limit=1", "cursor=", "status=lost", "format=csv&format=csv"])
def test_a_wrong_query_is_422(shared_server: Api, query: str) -> None:
    """An unknown form, and what only the list has."""
    answer = shared_server.request("GET", f"{EXPORT}?{query}")
    assert (answer.status, answer.locations) == (422, [["query", query.partition("=")[0]]])


@pytest.mark.parametrize("accept", DECODERS)
@pytest.mark.parametrize("kind", ["ndjson", "csv"])
def test_a_large_export_comes_in_parts(server: Api, accept: str, kind: str) -> None:
    """Many runs, and runs with much text, once each and in order, in any coding."""
    sent = [sent_run(f"{number:04}", start_time=at(number % 60)) for number in range(2500)]
    sent += [sent_run(f"x{number:03}", input_summary="\u00e9" * 100_000) for number in range(30)]
    assert stream(server, encode("zstd", lines(sent)), Content_Encoding="zstd").counts == (2530, 2530, 0, 0)
    exported = export(server, accept=accept, format=kind)
    assert exported.headers["Content-Encoding"] == (None if accept == "identity" else accept)
    assert exported.headers["Transfer-Encoding"] == "chunked"
    text = DECODERS[accept](exported.body).decode()
    if kind == "ndjson":
        found = [json.loads(line)["event_id"] for line in text.splitlines()]
    else:
        found = [row["event_id"] for row in csv.DictReader(io.StringIO(text, newline=""))]
    assert found == [run["event_id"] for run in sorted(sent, key=lambda run: run["start_time"])]


@pytest.mark.parametrize("accept", ["identity", "gzip"])
@pytest.mark.parametrize("kind", ["ndjson", "csv"])
def test_head_has_the_headers_and_no_body(server: Api, accept: str, kind: str) -> None:
    """The connection can be used for another request."""
    stream(server, lines(runs()))
    head = export(server, "HEAD", accept, format=kind)
    whole = export(server, "GET", accept, format=kind)
    assert (head.status, head.body) == (200, b"")
    for name in ("Content-Type", "Content-Encoding", "Vary"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize("accept", ["identity", "gzip", "zstd"])
@pytest.mark.parametrize("kind", ["ndjson", "csv"])
def test_an_export_that_fails_midway_breaks_off(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture, accept: str, kind: str
) -> None:
    """A run that is damaged behind the first part: the client sees it, the log says why, and the server goes on."""
    with start() as server:
        stream(server, lines([sent_run(f"{number}") for number in range(3000)]))
        with closing(apsw.Connection(str(tmp_path / "runs.db"))) as other:
            other.execute("UPDATE runs SET status = 'damaged' WHERE event_id = '2500'")
        exported = export(server, accept=accept, format=kind)
        assert exported.status == 200
        assert not exported.complete
        assert any("was cut off: the database is damaged" in text for text in caplog.messages)
        assert server.request("GET", "/health").status == 200


def test_an_export_that_fails_at_once_has_a_status(start: Start, tmp_path: Path) -> None:
    """Nothing was sent yet, so the failure can be told."""
    with start() as server:
        stream(server, lines(runs()))
        with closing(apsw.Connection(str(tmp_path / "runs.db"))) as other:
            other.execute("UPDATE runs SET status = 'damaged'")
        answer = server.request("GET", EXPORT)
        assert (answer.status, list(answer.body)) == (500, ["detail"])


def without_own(exported: Fetched) -> list[dict[str, Any]]:
    """Return the runs of an export but for what the server sets itself."""
    return [{name: value for name, value in run.items() if name not in OWN} for run in exported.lines]


@pytest.mark.parametrize("coding", ["identity", "gzip", "zstd"])
def test_an_export_makes_the_same_runs_again(any_server: Api, tmp_path: Path, start: Start, coding: str) -> None:
    """Sent to another server byte by byte as it came, it is exported there alike; at the first one all exist."""
    stream(any_server, lines(runs()))
    any_server.patch("twin-1", {"status": "timeout", "error_summary": "late"})
    any_server.commit("first", {"commit_hash": "abcdef1", "commit_source": "ci", "commit_timestamp": at(1)})
    exported = export(any_server, accept=coding)
    headers = {} if coding == "identity" else {"Content_Encoding": coding}
    answer = stream(any_server, exported.body, **headers)
    assert (answer.counts, answer.body["conflicts"]) == ((5, 0, 5, 0), [])
    with start(db=tmp_path / "other.db") as other:
        answer = stream(other, exported.body, **headers)
        assert (answer.counts, answer.body["errors"]) == ((5, 5, 0, 0), [])
        assert without_own(export(other)) == without_own(export(any_server))


def test_an_export_is_one_of_no_other_method(shared_server: Api) -> None:
    """It changes nothing."""
    assert shared_server.request("POST", EXPORT).status == 405
    assert shared_server.request("GET", STREAM).status == 404
