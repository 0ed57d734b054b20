"""Deeply nested runs, in process and over HTTP: each is one invalid run, at any depth."""

import json
from typing import Any

import pytest

from core.errors import RunRefusedError
from core.model.run import JsonText, Run
from entrypoints.embedded import RunStore, open_store
from tests.servers import Api, MakeRun

DEPTHS = [101, 300, 900, 950, 980, 990, 1000, 1500, 3000, 10_000, 100_000]
"""Depths around the decoders' limit, which differs with the version of Python and the stack depth."""

FIELDS = ["metrics_json", "context_json", "extra", "unknown", "product", "duration_ms", "start_time"]


def deep_run(run: "dict[str, Any]", field: str, depth: int) -> str:
    """Return the text of a run with a field of this many levels."""
    nested = '{"a":' + "[" * (depth - 1) + "]" * (depth - 1) + "}"
    return json.dumps(run | {field: "X"}).replace('"X"', nested)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("unusual", ["1", "NaN"])
def test_deep_run_fails_alone(shared_server: Api, make_run: MakeRun, depth: int, unusual: str) -> None:
    """In a batch it is named with its IDs, and the other runs are judged as usual."""
    first, last = make_run(), make_run(metrics_json={"n": 1})
    bad, strange = make_run(), make_run(items_failed="Y")
    texts = [
        *(json.dumps(first), deep_run(bad, "metrics_json", depth)),
        *(json.dumps(strange).replace('"Y"', unusual), json.dumps(last)),
    ]
    answer = shared_server.send("POST", "/api/v1/runs/batch", f'{{"runs":[{",".join(texts)}]}}'.encode())
    refused = {(1, "metrics_json")} | ({(2, "items_failed")} if unusual == "NaN" else set())
    assert (answer.status, answer.bad_fields) == (500, refused)
    assert answer.body["errors"][0]["event_id"] == bad["event_id"]
    assert "nested deeper than 100 levels" in answer.body["errors"][0]["error"]
    assert {first["event_id"], last["event_id"]} <= set(answer.event_ids)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("field", FIELDS)
def test_deep_single_run_is_refused_by_its_field(shared_server: Api, make_run: MakeRun, field: str, depth: int) -> None:
    """Alone, it is a run with an invalid field, not a body that is not JSON."""
    answer = shared_server.create(deep_run(make_run(), field, depth).encode())
    assert (answer.status, answer.locations) == (422, [["body", "extra" if field == "unknown" else field]])


@pytest.mark.parametrize("depth", [98, 1000, 100_000])
def test_deep_value_that_is_ignored_is_ignored(shared_server: Api, make_run: MakeRun, depth: int) -> None:
    """Values sent for the server's own times may be anything."""
    assert shared_server.create(deep_run(make_run(), "created_at", depth).encode()).status == 201


@pytest.mark.parametrize("depth", DEPTHS)
def test_deep_change_is_refused_by_its_field(shared_server: Api, make_run: MakeRun, depth: int) -> None:
    """An update with a deep object names the field, and nothing changes."""
    stored = shared_server.create(make_run()).body
    body = deep_run({}, "context_json", depth).encode()
    answer = shared_server.send("PATCH", f"/api/v1/runs/{stored['event_id']}", body)
    assert (answer.status, answer.locations) == (422, [["body", "context_json"]])
    assert shared_server.stored(stored["event_id"]) == stored


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Open a store over a new file."""
    with open_store(tmp_path_factory.mktemp("deep") / "runs.db") as runs:
        yield runs


def deep_value(depth: int, kind: type) -> Any:
    """Return a value of this many levels, of lists, objects or tuples."""
    value: Any = kind()
    for _ in range(depth - 1):
        value = {"a": value} if kind is dict else kind([value])
    return value


@pytest.mark.parametrize("depth", [99, 101, *DEPTHS])
@pytest.mark.parametrize("kind", [list, dict, tuple])
@pytest.mark.parametrize("field", FIELDS)
def test_deep_value_in_process_is_one_bad_run(
    store: RunStore, make_run: MakeRun, field: str, kind: type, depth: int
) -> None:
    """A mapping with a deep value fails alone, as over HTTP."""
    deep = deep_value(depth, kind)
    bad = make_run() | {field: {"a": deep} if field in FIELDS[:3] else deep}
    result = store.ingest_lenient([make_run(), bad, make_run()])
    takes = kind is not tuple and depth == 99 and field in FIELDS[:4]
    expected = [] if takes else [(1, "extra" if field == "unknown" else field)]
    assert [(refused.index, fault.field) for refused in result.refused for fault in refused.errors] == expected


@pytest.mark.parametrize("depth", DEPTHS)
def test_deep_name_in_process_is_one_bad_run(store: RunStore, make_run: MakeRun, depth: int) -> None:
    """A deep tuple as a name, at the top or inside, fails alone, too."""
    name = deep_value(depth, tuple)
    for bad in ({name: 1}, {"metrics_json": {"a": {name: 1}}}):
        result = store.ingest_lenient([make_run(), make_run() | bad])
        assert [refused.index for refused in result.refused] == [1]
        assert "a key that is not text: a Python tuple" in str(result.refused[0].errors[0])


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' + "[" * 5000 + "]" * 5000 + "}", "{", "\ud800", "1", '{"a":NaN}']
)
def test_run_with_a_text_that_is_no_kept_object_is_refused(store: RunStore, make_run: MakeRun, text: str) -> None:
    """A ``Run`` constructed by hand is validated like any other."""
    stored = store.create(make_run(event_id="by hand"))
    values = {name: getattr(stored, name) for name in Run.__annotations__} | {"metrics_json": JsonText(text)}
    with pytest.raises(RunRefusedError) as refused:
        store.create(Run(**values))
    assert [fault.field for fault in refused.value.refused.errors] == ["metrics_json"]
