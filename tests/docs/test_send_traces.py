"""The configurations of ``docs/how-to/send-traces.md`` send what the server takes to where it takes it."""

import gzip
import json
import tomllib
from typing import Any

import pytest
import yaml

from tests.docs.pages import DOCS, URL, blocks_of
from tests.otlp import PROTOBUF, TRACES, Exporter, encoded, export, span
from tests.servers import Start

SECRET = "7c1d0f4e9b2a4d63a8e5f1b07d92c6e4"


def configuration(language: str) -> str:
    """Return the only block in a language."""
    (text,) = (block.text for block in blocks_of(DOCS / "how-to" / "send-traces.md") if block.language == language)
    return text


def test_configuration_of_the_collector(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parts refer to each other, it never gives up, and the server takes a request as its exporter sends it."""
    document: dict[str, Any] = yaml.safe_load(configuration("yaml"))
    exporter, service = document["exporters"]["otlphttp"], document["service"]
    (pipeline,) = service["pipelines"].values()
    assert pipeline == {"receivers": list(document["receivers"]), "exporters": list(document["exporters"])}
    assert service["extensions"] == list(document["extensions"]) == [exporter["sending_queue"]["storage"]]
    assert exporter["traces_endpoint"] == URL + TRACES
    assert exporter["retry_on_failure"] == {"enabled": True, "max_elapsed_time": 0}
    authorization = exporter["headers"]["authorization"].replace("${env:RUNSINK_TOKEN}", SECRET)
    monkeypatch.setenv("RUNSINK_TOKENS", f"collector write {SECRET}")
    with start() as server:
        body = gzip.compress(encoded(export([span()]), PROTOBUF))
        headers = {"Content_Encoding": exporter["compression"], "Authorization": authorization}
        assert Exporter(server, PROTOBUF).send(body, **headers).status == 200


def test_configurations_of_agents_name_the_server_and_nothing_else() -> None:
    """Traces go to its address over HTTP; metrics and logs, which it does not take, go nowhere."""
    claude = json.loads(configuration("json"))["env"]
    assert claude["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] == URL + TRACES
    assert claude["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] == "http/protobuf"
    assert claude["OTEL_METRICS_EXPORTER"] == claude["OTEL_LOGS_EXPORTER"] == "none"
    codex = tomllib.loads(configuration("toml"))["otel"]
    assert codex["trace_exporter"] == {"otlp-http": {"endpoint": URL + TRACES, "protocol": "binary"}}
    assert codex["exporter"] == codex["metrics_exporter"] == "none"
