"""``POST /v1/traces`` over real HTTP: what is stored, and what an exporter is told."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from adapters.content_coding import encode
from adapters.group_commit import GroupCommitWriter
from core.errors import StoreBusyError, StoreError, StoreFullError
from core.model.run import Timestamp
from entrypoints.databases import open_database
from entrypoints.http.messages.export_responses import MAX_MESSAGE_BYTES
from tests.jobs import wait_until
from tests.otlp import JSON, PROTOBUF, START, TRACES, TYPES, Exporter, encoded, export, span
from tests.servers import Answer, Api, Serve, Start, installed_command, serving_process

SECRETS = {"write": "writer-0123456789abcdef", "read": "reader-0123456789abcdef"}
INVALID, UNAUTHENTICATED, FORBIDDEN, EXHAUSTED, UNAVAILABLE = 3, 16, 7, 8, 14


@pytest.fixture(params=TYPES)
def media_type(request: pytest.FixtureRequest) -> str:
    """Return each encoding."""
    return str(request.param)


@pytest.fixture
def exporter(start: Start, media_type: str) -> Iterator[Exporter]:
    """Yield an exporter of each encoding to a new server."""
    with start() as api:
        yield Exporter(api, media_type)


def status_of(answer: Answer, media_type: str) -> tuple[int, str]:
    """Return the code and the message of a ``google.rpc.Status``."""
    assert answer.headers["Content-Type"] == media_type
    if media_type == JSON:
        assert answer.body["detail"] == answer.body["message"]
        return answer.body["code"], answer.body["message"]
    assert (answer.body[0], answer.body[2]) == (1 << 3, 2 << 3 | 2)
    length_bytes = 1 if answer.body[3] < 0x80 else 2
    return answer.body[1], answer.body[3 + length_bytes :].decode()


def total(api: Api) -> int:
    """Return the number of stored runs."""
    return int(api.find(limit=1).body["total"])


def test_spans_are_stored_as_runs(exporter: Exporter) -> None:
    """With all that the table names, in either encoding; the response is an empty message."""
    given = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 1200}
    answer = exporter.send(
        export([span(0, given), span(1, parentSpanId="eee19b7ec3c1b174")], {"service.name": "fleet"})
    )
    assert (answer.status, answer.headers["Content-Type"]) == (200, exporter.media_type)
    assert answer.body == ({} if exporter.media_type == JSON else None)
    parent, child = exporter.api.find(agent_name="fleet").body["runs"]
    if parent["parent_run_id"]:
        parent, child = child, parent
    assert child["parent_run_id"] == parent["run_id"]
    assert parent["metrics_json"] == {"input_tokens": 1200}
    assert (parent["job_type"], parent["status"], parent["duration_ms"]) == ("chat", "success", 1500)
    tree = exporter.api.request("GET", f"/api/v1/runs/{parent['run_id']}/tree").body
    assert tree["total"] == 2


def test_the_same_spans_again_change_nothing(exporter: Exporter) -> None:
    """A retry after a lost response; no warning."""
    document = export([span(number) for number in range(3)])
    for _ in range(2):
        assert exporter.partial_success(exporter.send(document)) == (0, "")
    assert total(exporter.api) == 3


def test_a_span_that_has_ended_amends_its_run(exporter: Exporter) -> None:
    """It was stored as running. That may arrive late; whoever sends another span with its id is warned."""
    begun = export([span(endTimeUnixNano=None)])
    assert exporter.partial_success(exporter.send(begun)) == (0, "")
    (run,) = exporter.api.find().body["runs"]
    assert (run["status"], run["end_time"]) == ("running", None)
    assert exporter.partial_success(exporter.send(export([span(attributes={"late": 1})]))) == (0, "")
    (run,) = exporter.api.find().body["runs"]
    assert (run["status"], run["duration_ms"], run["context_json"]["attributes"]) == ("success", 1500, {"late": 1})
    assert exporter.partial_success(exporter.send(begun)) == (0, "")
    rejected, message = exporter.partial_success(exporter.send(export([span(name="other")])))
    assert rejected == 0
    assert message == f"span {run['event_id']} was sent before with another item_name; the first one stays"
    assert exporter.api.find().body["runs"] == [run]


def test_every_store_takes_repeats_and_amends_spans(any_server: Api, media_type: str) -> None:
    """In slices; a trace that was announced, then sent again while it ran, then ended, and once more."""
    exporter, numbers = Exporter(any_server, media_type), range(1500)
    announced = export([span(number, endTimeUnixNano=None) for number in numbers], {"service.name": "fleet"})
    ended = export([span(number, {"late": number}) for number in numbers], {"service.name": "fleet"})
    for document, status in ((announced, "running"), (announced, "running"), (ended, "success"), (ended, "success")):
        assert exporter.partial_success(exporter.send(document)) == (0, "")
        assert (total(any_server), any_server.find(status=status, limit=1).body["total"]) == (1500, 1500)
    late = {run["context_json"]["attributes"]["late"] for run in any_server.find(limit=1000).body["runs"]}
    assert len(late) == 1000
    other = export([span(0, {"late": 0}, name="other")], {"service.name": "fleet"})
    rejected, message = exporter.partial_success(exporter.send(other))
    assert (rejected, message.endswith("was sent before with another item_name; the first one stays")) == (0, True)
    assert any_server.request("GET", "/api/v1/metadata").body["agent_names"] == ["fleet"]


def test_valid_spans_are_stored_beside_rejected_ones(exporter: Exporter) -> None:
    """The message names each rejected span, what was wrong and what would be right, in less than a kibibyte."""
    bad = [span(number, startTimeUnixNano="0") for number in range(1, 2000)]
    answer = exporter.send(export([span(0), *bad, span(2000)]))
    rejected, message = exporter.partial_success(answer)
    assert (answer.status, rejected, total(exporter.api)) == (200, 1999, 2)
    assert message.startswith(
        "1999 spans were rejected: span 5b8efff798038103d269b633813fc60c-eee19b7ec3c1b175: start_time"
    )
    assert 500 < len(message.encode()) <= MAX_MESSAGE_BYTES < 1024


def test_what_was_left_out_is_a_warning(exporter: Exporter) -> None:
    """With no rejected spans, as the protocol has it."""
    rejected, message = exporter.partial_success(exporter.send(export([span(attributes={"blob": "x" * 2**21})])))
    assert rejected == 0
    assert message.endswith(": too long to keep: blob")
    assert total(exporter.api) == 1


def test_spans_before_the_retention_horizon_are_rejected(start: Start, tmp_path: Path) -> None:
    """By the core, as those of any other upload."""
    path = str(tmp_path / "horizon.db")
    with closing(open_database(path)) as store, store.unit_of_work() as work:
        work.runs.raise_retention_horizon(Timestamp("2026-01-31T12:00:00.000000Z"))
        work.commit()
    with start(db=path) as api:
        exporter = Exporter(api)
        old = span(1, startTimeUnixNano=str(START - 10**9))
        rejected, message = exporter.partial_success(exporter.send(export([span(0), old])))
        assert (rejected, total(api)) == (1, 1)
        assert "start_time is before the retention horizon 2026-01-31T12:00:00Z" in message


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_compressed_requests_are_taken(exporter: Exporter, coding: str) -> None:
    """Damaged ones are not."""
    body = encode(coding, encoded(export([span(number) for number in range(100)]), exporter.media_type))
    assert exporter.send(body, Content_Encoding=coding).status == 200
    assert total(exporter.api) == 100
    damaged = exporter.send(body[:-9], Content_Encoding=coding)
    assert damaged.status == 400
    assert status_of(damaged, exporter.media_type)[0] == INVALID


def test_a_large_request_is_written_in_slices(exporter: Exporter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one cannot be written, those before it stay; the whole request again completes it."""
    written: list[int] = []
    submit = GroupCommitWriter.submit

    def fail_the_third(writer: GroupCommitWriter, command: Any) -> Any:
        written.append(len(command.args[0]) if hasattr(command, "args") else 0)
        if len(written) == 3:
            raise StoreBusyError("injected")
        return submit(writer, command)

    monkeypatch.setattr(GroupCommitWriter, "submit", fail_the_third)
    document = export([span(number) for number in range(2500)])
    answer = exporter.send(document)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert (written, total(exporter.api)) == ([1000, 1000, 500], 2000)
    assert exporter.partial_success(exporter.send(document)) == (0, "")
    assert total(exporter.api) == 2500


@pytest.mark.parametrize("error", [StoreBusyError("injected"), StoreFullError("injected"), StoreError("injected")])
def test_a_store_that_fails_is_unavailable(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch, error: StoreError
) -> None:
    """Exporters retry 503; of 500 and 507 most drop the spans."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(GroupCommitWriter, "submit", fail)
    answer = exporter.send(export([span()]))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert status_of(answer, exporter.media_type) == (UNAVAILABLE, "injected")


@pytest.mark.parametrize("limits", [{"rate_requests": "1/day"}, {"rate_runs": "3 per day"}])
def test_a_rate_limit_is_unavailable(start: Start, media_type: str, limits: dict[str, Any]) -> None:
    """Of requests and of runs, of which each span counts as one."""
    with start(**limits) as api:
        exporter = Exporter(api, media_type)
        assert exporter.send(export([span(0), span(1)])).status == 200
        answer = exporter.send(export([span(2), span(3)]))
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 3600
        assert status_of(answer, media_type)[0] == UNAVAILABLE


def test_overload_is_unavailable(start: Start, media_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that finds no room is told when to come again."""
    from entrypoints.http.pressure.admission import Lease, OverloadedError  # noqa: PLC0415 - of this test alone
    from entrypoints.http.rejections import Reason  # noqa: PLC0415 - as above

    def grow(*_: object) -> None:
        raise OverloadedError("no room", 7, Reason.REQUEST_BYTES)

    monkeypatch.setattr(Lease, "grow", grow)
    with start() as api:
        answer = Exporter(api, media_type).send(export([span()]))
        assert (answer.status, answer.headers["Retry-After"]) == (503, "7")
        assert status_of(answer, media_type) == (UNAVAILABLE, "no room")


@pytest.mark.parametrize("body", [b"\xff", b'{"resourceSpans": 5}'])
def test_what_cannot_be_decoded_is_400(exporter: Exporter, body: bytes) -> None:
    """The reason is a ``google.rpc.Status`` in the encoding of the request."""
    answer = exporter.send(body)
    assert answer.status == 400
    code, message = status_of(answer, exporter.media_type)
    assert code == INVALID
    assert message.startswith("the body is not ")


def test_tokens_are_required_where_there_are_any(start: Start, tmp_path: Path, media_type: str) -> None:
    """With the scope ``write``."""
    tokens = tmp_path / "tokens"
    tokens.write_text("".join(f"{scope} {scope} {secret}\n" for scope, secret in SECRETS.items()))
    tokens.chmod(0o600)
    with start(token_file=tokens) as api:
        exporter, document = Exporter(api, media_type), export([span()])
        nobody, reader = exporter.send(document), exporter.send(document, Authorization=f"Bearer {SECRETS['read']}")
        assert (nobody.status, reader.status) == (401, 403)
        assert nobody.headers["WWW-Authenticate"].startswith("Bearer ")
        assert status_of(nobody, media_type)[0] == UNAUTHENTICATED
        assert status_of(reader, media_type)[0] == FORBIDDEN
        assert exporter.send(document, Authorization=f"Bearer {SECRETS['write']}").status == 200


def test_a_page_of_another_origin_may_not_write(exporter: Exporter) -> None:
    """Nor one that sends no type, which needs no preflight."""
    assert exporter.send(export([span()]), Origin="https://evil.example").status == 403
    assert exporter.api.request("POST", TRACES, b"{}").status == 415
    assert total(exporter.api) == 0


@pytest.mark.parametrize("coding", [None, "gzip"])
def test_a_request_that_is_too_large_is_413(exporter: Exporter, coding: str | None) -> None:
    """Before and after decompression."""
    body = b" " * (20 * 2**20 + 1)
    headers = {"Content_Encoding": coding} if coding else {}
    answer = exporter.send(encode(coding, body) if coding else body, **headers)
    assert answer.status == 413
    code, message = status_of(answer, exporter.media_type)
    assert code == EXHAUSTED
    assert message.startswith("the body exceeds 20971520 bytes")


def test_more_values_than_spans_have_are_too_many(start: Start) -> None:
    """A request of empty objects is no export."""
    with start() as api:
        body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b"{}," * 1_300_000 + b"{}]}]}]}"
        answer = Exporter(api).send(body)
        assert answer.status == 413
        assert "max_traces_values" in answer.body["message"]


@pytest.mark.parametrize("given", ["text/plain", "application/x-ndjson", "application/grpc"])
def test_other_types_and_encodings_are_415(exporter: Exporter, given: str) -> None:
    """The message names those that are taken."""
    answer = exporter.send(b"x", Content_Type=given)
    assert answer.status == 415
    assert status_of(answer, JSON)[1].startswith("Content-Type must be application/x-protobuf or application/json")
    assert exporter.send(b"x", Content_Encoding="br").status == 415


@pytest.mark.parametrize("path", ["/v1/logs", "/v1/metrics"])
def test_logs_and_metrics_are_not_supported(exporter: Exporter, path: str) -> None:
    """The detail says so, and what is."""
    answer = exporter.api.send("POST", path, b"\x0a\x00", Content_Type=exporter.media_type)
    assert answer.status == 404
    assert answer.body == {"detail": f"{path} is not supported: of OTLP, this server takes /v1/traces only"}


def test_rejected_spans_are_kept_and_counted(start: Start, media_type: str) -> None:
    """As any rejected run, in JSON whatever the encoding, and without the content that is dropped."""
    with start(keep_refusals=10) as api:
        exporter = Exporter(api, media_type)
        bad = span(1, {"a.b": 1, "input.value": "secret", "runsink.status": "lost"})
        assert exporter.partial_success(exporter.send(export([span(0), bad])))[0] == 1
        wait_until(lambda: len(api.request("GET", "/api/v1/refusals").body["refusals"]) == 1)
        (kept,) = api.request("GET", "/api/v1/refusals").body["refusals"]
        assert kept["event_id"].endswith("-eee19b7ec3c1b175")
        assert [error["field"] for error in kept["errors"]] == ["status"]
        assert json.loads(kept["body"])["attributes"] == {"a.b": 1, "runsink.status": "lost"}
        metrics = api.request("GET", "/metrics").body
        assert 'runsink_runs_total{endpoint="otlp",outcome="created"} 1.0' in metrics
        assert 'runsink_runs_total{endpoint="otlp",outcome="failed"} 1.0' in metrics


def test_message_content_is_kept_if_that_is_set(start: Start, tmp_path: Path) -> None:
    """And dropped by default."""
    document = export([span(attributes={"gen_ai.input.messages": "hello"})])
    for settings, expected in (({}, {}), ({"otlp_content": True}, {"gen_ai.input.messages": "hello"})):
        with start(db=tmp_path / f"{len(settings)}.db", **settings) as api:
            assert Exporter(api).send(document).status == 200
            (run,) = api.find().body["runs"]
            assert run["context_json"]["attributes"] == expected


def test_without_the_extra_protocol_buffers_are_415(tmp_path: Path) -> None:
    """The message says what to install; JSON is taken. The server is a process that cannot import the package."""
    blocker = tmp_path / "without"
    blocker.mkdir()
    (blocker / "opentelemetry.py").write_text("")
    with serving_process(["--port=0"], tmp_path, {"PYTHONPATH": str(blocker)}, installed_command) as served:
        answer = Exporter(served.api, PROTOBUF).send(export([span()]))
        assert answer.status == 415
        assert "pip install 'runsink[otlp]'" in status_of(answer, PROTOBUF)[1]
        assert Exporter(served.api).send(export([span()])).status == 200
        assert total(served.api) == 1


def test_protocol_buffers_are_imported_with_the_first_request_that_needs_them(serve: Serve) -> None:
    """A server that nobody sends spans to pays nothing."""
    with serve("--port=0") as served:
        assert Exporter(served.api).send(export([span()])).status == 200
        maps = Path(f"/proc/{served.process.pid}/maps")
        assert "google/_upb" not in maps.read_text()
        assert Exporter(served.api, PROTOBUF).send(export([span(1)])).status == 200
        assert "google/_upb" in maps.read_text()
