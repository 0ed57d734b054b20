"""The configurations of ``docs/how-to/log-shippers.md`` make the shippers send what the server takes."""

from typing import Any

import pytest
import yaml

from tests.docs.pages import DOCS, URL, blocks_of
from tests.http_streams import NDJSON, STREAM
from tests.servers import Start
from tests.shippers import FLUENT_RECORDS, VECTOR_EVENTS, answer_to, fluent_bit_request, vector_request

SECRET = "25f8aa6d0c1e4f39b7d2c8e07a4b5196"


def configuration(name: str) -> Any:
    """Return the configuration whose first line is a comment with this name."""
    blocks = blocks_of(DOCS / "how-to" / "log-shippers.md")
    (text,) = (block.text for block in blocks if block.text.startswith(f"# {name}\n"))
    return yaml.safe_load(text)


def test_configuration_of_vector(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sink sends lines, compressed and with the token, to the stream; each event becomes a run."""
    document = configuration("vector.yaml")
    sink = document["sinks"]["runsink"]
    secret = sink["auth"]["token"].removeprefix("SECRET[").removesuffix("]").split(".")[0]
    assert document["secret"][secret]["type"] == "directory"
    assert (sink["type"], sink["method"], sink["uri"]) == ("http", "post", URL + STREAM)
    assert (sink["encoding"], sink["framing"]) == ({"codec": "json"}, {"method": "newline_delimited"})
    assert sink["inputs"] == list(document["transforms"])
    assert document["transforms"]["parsed"]["inputs"] == list(document["sources"])
    compressed = sink["compression"] == "gzip"
    monkeypatch.setenv("RUNSINK_TOKENS", f"vector write {SECRET}")
    with start() as server:
        (answer,) = answer_to(server, vector_request(NDJSON, compressed=compressed, token=SECRET))
    assert (answer.status, answer.body["created"]) == (200, len(VECTOR_EVENTS))


def test_configuration_of_fluent_bit(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same of its output."""
    document = configuration("fluent-bit.yaml")
    (output,) = document["pipeline"]["outputs"]
    (tail,) = document["pipeline"]["inputs"]
    assert tail["parser"] in [parser["name"] for parser in document["parsers"]]
    assert f"http://{output['host']}:{output['port']}{output['uri']}" == URL + STREAM
    assert (output["name"], output["format"], output["json_date_key"]) == ("http", "json_lines", False)
    (header,) = output["header"]
    name, value = header.split(" ", 1)
    sent = f"{name}: {value.replace('${RUNSINK_TOKEN}', SECRET)}"
    monkeypatch.setenv("RUNSINK_TOKENS", f"fluent-bit write {SECRET}")
    with start() as server:
        request = fluent_bit_request(NDJSON, compressed=output["compress"] == "gzip", headers=[sent])
        (answer,) = answer_to(server, request)
    assert (answer.status, answer.body["created"]) == (200, len(FLUENT_RECORDS))
