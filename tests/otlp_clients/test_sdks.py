"""The SDKs of OpenTelemetry, unmodified and set up by their environment alone, export to a served process."""

import signal
from collections.abc import Mapping
from typing import Any

import pytest

from tests.fakes.unreliable_proxy import Cut, response, running_proxy
from tests.otlp_clients.clients import SERVICE, Client, Reader, outline
from tests.servers import Serve

PYTHON = Client("spans.py")
CLIENTS = {
    "python-protobuf": PYTHON,
    "javascript-json": Client("spans.js", ("json",)),
    "javascript-protobuf": Client("spans.js", ("protobuf",)),
}
SECRETS = {scope: f"{scope}-secret-for-exporters" for scope in ("write", "read")}
TOKENS = ",".join(f"{scope} {scope} {secret}" for scope, secret in SECRETS.items())

TREE = [
    "planner: invoke_agent planner (invoke_agent) success",
    f"  {SERVICE}: chat gpt-4o (chat) success",
    f"  {SERVICE}: execute_tool wait (execute_tool) timeout",
    f"  {SERVICE}: execute_tool weather (execute_tool) failure",
]


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> Client:
    """Return a program for each SDK and encoding."""
    if request.param != "python-protobuf":
        request.getfixturevalue("node_modules")
    return CLIENTS[request.param]


def with_token(secret: str) -> Mapping[str, str]:
    """Return what makes an exporter send a token; values of its headers are URL-encoded."""
    return {"OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{secret}"}


def only_tree(reader: Reader) -> list[dict[str, Any]]:
    """Return the only tree, with siblings by name: the clock of JavaScript may let them start at the same time."""
    (tree,) = reader.trees()
    return sorted(tree, key=lambda run: (run["depth"], run["item_name"]))


@pytest.mark.parametrize("guarded", [False, True], ids=["open", "tokens-and-gzip"])
def test_spans_arrive_as_a_durable_tree(serve: Serve, client: Client, *, guarded: bool) -> None:
    """Once each, with all that the spans say, and still after the server was killed."""
    settings = {"RUNSINK_TOKENS": TOKENS} if guarded else {}
    exporting = {**with_token(SECRETS["write"]), "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"} if guarded else {}
    with serve("--port", "0", **settings) as served:
        assert client.run(served.api.url, **exporting) == ""
        served.process.send_signal(signal.SIGKILL)
        served.process.wait()
    with serve("--port", "0", **settings) as served:
        tree = only_tree(Reader(served.api, SECRETS["read"] if guarded else None))
    assert outline(tree) == TREE
    agent, chat, gave_up, failed = tree
    context = agent["context_json"]
    assert agent["event_id"] == agent["run_id"] == f"{context['trace_id']}-{context['span_id']}"
    assert all(run["parent_run_id"] == agent["run_id"] for run in tree[1:])
    assert all(run["end_time"] >= run["start_time"] >= agent["start_time"] for run in tree)
    assert chat["metrics_json"] == {"input_tokens": 1200, "output_tokens": 34, "cost_usd": 0.0125}
    assert (chat["platform"], chat["product"], chat["context_json"]["kind"]) == ("openai", SERVICE, "client")
    assert chat["context_json"]["attributes"]["gen_ai.response.finish_reasons"] == ["stop"]
    assert chat["context_json"]["scope"] == {"name": "made-up", "version": "1.0", "attributes": {}}
    assert failed["error_summary"] == "no station responds"
    assert "no station responds" in failed["error_details"]
    assert (gave_up["error_summary"], gave_up["error_details"]) == ("nobody came", None)


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), (with_token("no-such-secret-0123"), 401), (with_token(SECRETS["read"]), 403)],
    ids=["none", "wrong", "read-only"],
)
def test_without_a_token_that_may_write_nothing_is_stored(
    serve: Serve, client: Client, headers: Mapping[str, str], status: int
) -> None:
    """The exporter reports the status, and does not try again."""
    with serve("--port", "0", RUNSINK_TOKENS=TOKENS) as served:
        assert str(status) in client.run(served.api.url, **headers)
        reader = Reader(served.api, SECRETS["read"])
        assert reader.runs() == []
        counted = (
            f'runsink_http_request_duration_seconds_count{{method="POST",route="/v1/traces",status="{status}"}} 1.0'
        )
        assert counted in reader.get("/metrics").body


def test_what_is_sent_again_is_stored_once(serve: Serve, client: Client) -> None:
    """After a response that says so, and after one that was lost when the spans were durable already."""
    with serve("--port", "0") as served:
        busy, lost = response(503, b"", "Retry-After: 1"), Cut(response_bytes=1)
        with running_proxy(served.api.url, busy, lost) as proxy:
            client.run(proxy.url)
            assert proxy.connections == 3
        assert outline(only_tree(Reader(served.api))) == TREE


def test_children_arrive_before_their_parent(serve: Serve, client: Client) -> None:
    """One span a request, each as soon as it has ended: the tree is the same."""
    with serve("--port", "0") as served:
        assert client.run(served.api.url, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="1") == ""
        reader = Reader(served.api)
        tree = only_tree(reader)
        assert outline(tree) == TREE
        assert 'route="/v1/traces",status="200"} 4.0' in reader.get("/metrics").body
        if client == PYTHON:  # the other sends them at the same time
            agent, *others = tree
            assert all(run["created_at"] < agent["created_at"] for run in others)
