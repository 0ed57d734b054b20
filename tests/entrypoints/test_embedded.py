"""The in-process API: the same results and errors as HTTP, for the same input."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

from adapters.wire.encode import encode
from adapters.wire.figures import facets_answer, statistics_answer
from adapters.wire.summary import rollup_answer
from core.errors import (
    BatchRolledBackError,
    BatchTooLargeError,
    EveryRunRefusedError,
    InvalidChangesError,
    InvalidCommitError,
    InvalidQueryError,
    NotABatchError,
    RunNotFoundError,
    RunRefusedError,
    StoreClosedError,
    StoreUnusableError,
)
from core.model.batch import BatchResult
from core.model.listing import PageRequest, RunFilter
from core.model.run import JsonText, Run, Status
from entrypoints.embedded import RunStore, open_store
from tests.contract.samples import outcome_in_fork
from tests.servers import Api, MakeRun

SERVER_TIMES = {"created_at", "updated_at"}
TIMES = ("start_time", "end_time", "commit_timestamp")
BAD_FIELDS: list[dict[str, Any]] = [
    {"status": "lost"},
    {"duration_ms": "12", "items_failed": True, "items_skipped": -1},
    {"start_time": "2026-01-31T12:00:00"},
    {"event_id": ""},
    {"event_id": 1, "run_id": 2},
    {"agent_name": None},
    {"website": "a\0b"},
    {"product": "\ud800"},
    {"metrics_json": {"a": [float("nan")]}},
    {"context_json": []},
    {"commit_hash": "xyz", "commit_source": "robot"},
    {"extra": {"a": 1}, "a": 2},
    {"unknown": {"b": ["\udfff"]}},
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    """Open a store over a new file."""
    with open_store(tmp_path / "embedded.db") as runs:
        yield runs


def on_the_wire(run: Run) -> dict[str, Any]:
    """Return a run as in an HTTP response, without the server's times."""
    values = attrs.asdict(run, filter=lambda field, _: field.name not in SERVER_TIMES)
    values |= {name: values[name].replace(".000000Z", "Z") for name in TIMES if values[name] is not None}
    return {name: json.loads(value) if isinstance(value, JsonText) else value for name, value in values.items()}


def assert_same(result: BatchResult, body: dict[str, Any]) -> None:
    """Check that the in-process result equals the HTTP response, but for the server's times."""
    answered = [{name: value for name, value in run.items() if name not in SERVER_TIMES} for run in body["runs"]]
    assert [on_the_wire(run) for run in result.runs] == answered
    assert (result.total, result.created, result.existing, result.failed) == tuple(
        body[name] for name in ("total", "created", "existing", "failed")
    )
    assert [
        (refused.index, refused.event_id, refused.run_id, fault.field, str(fault))
        for refused in result.refused
        for fault in refused.errors
    ] == [tuple(error[name] for name in ("index", "event_id", "run_id", "field", "error")) for error in body["errors"]]
    assert [(conflict.index, conflict.event_id, list(conflict.fields)) for conflict in result.conflicts] == [
        (conflict["index"], conflict["event_id"], conflict["fields"]) for conflict in body["conflicts"]
    ]


def test_good_batches_have_the_same_results(store: RunStore, shared_server: Api, make_run: MakeRun) -> None:
    """New, existing, repeated and conflicting runs have the same result in process and over HTTP, in both modes."""
    first = make_run(metrics_json={"b": 2**70, "a": [None]}, newer={"z": 1, "y": "\0"}, status="failed")
    batch = [first, make_run(end_time="2026-01-31T14:00:00+02:00"), first, {**first, "product": "other"}]
    for again in range(2):
        assert_same(store.ingest_lenient(batch), shared_server.lenient(batch).body)
        assert_same(store.ingest_atomic(batch), shared_server.atomic(batch).body)
        batch.insert(again, make_run())


@pytest.mark.parametrize("bad", BAD_FIELDS)
def test_partial_failure_has_the_same_errors(
    store: RunStore, shared_server: Api, make_run: MakeRun, bad: dict[str, Any]
) -> None:
    """An invalid run among valid ones is rejected with the same errors in process and over HTTP."""
    batch = [make_run(), make_run() | bad]
    assert_same(store.ingest_lenient(batch), shared_server.lenient(batch).body)


@pytest.mark.parametrize("bad", BAD_FIELDS)
def test_refused_batch_has_the_same_error(
    store: RunStore, shared_server: Api, make_run: MakeRun, bad: dict[str, Any]
) -> None:
    """HTTP's 400 and 422 are raised with the same counts, errors and message; nothing is stored."""
    batch = [make_run(), make_run() | bad]
    with pytest.raises(BatchRolledBackError) as rolled_back:
        store.ingest_atomic(batch)
    body = shared_server.atomic(batch).body
    assert str(rolled_back.value) == body["detail"]
    assert_same(rolled_back.value.result, body)
    with pytest.raises(EveryRunRefusedError) as every_one:
        store.ingest_lenient(batch[1:])
    assert_same(every_one.value.result, shared_server.lenient(batch[1:]).body)
    assert store.page().total == 0


@pytest.mark.parametrize("item", [5, "run", None, [], True])
def test_item_that_is_no_mapping_is_one_bad_run(
    store: RunStore, shared_server: Api, make_run: MakeRun, item: Any
) -> None:
    """A batch member that is not an object fails alone, as over HTTP."""
    batch = [make_run(), item]
    assert_same(store.ingest_lenient(batch), shared_server.lenient(batch).body)


@pytest.mark.parametrize("bad", BAD_FIELDS)
def test_single_run_has_the_same_error(
    store: RunStore, shared_server: Api, make_run: MakeRun, bad: dict[str, Any]
) -> None:
    """A single invalid run is rejected with the messages of the 422."""
    run = make_run() | bad
    with pytest.raises(RunRefusedError) as refused:
        store.create(run)
    messages = [fault["msg"] for fault in shared_server.create(run).body["detail"]]
    assert str(refused.value) == "; ".join(messages)


@pytest.mark.parametrize("mode", ["ingest_lenient", "ingest_atomic"])
def test_batch_sizes_have_the_same_limits(store: RunStore, shared_server: Api, make_run: MakeRun, mode: str) -> None:
    """No runs and more than 1000 are rejected with HTTP's messages; 1000 are accepted."""
    ingest: Callable[[list[Any]], BatchResult] = getattr(store, mode)
    with pytest.raises(NotABatchError) as empty:
        ingest([])
    assert str(empty.value) == shared_server.lenient([]).body["detail"][0]["msg"]
    runs = [make_run() for _ in range(1001)]
    with pytest.raises(BatchTooLargeError) as large:
        ingest(runs)
    assert str(large.value) == shared_server.lenient(runs).body["detail"]
    assert ingest(runs[1:]).created == 1000


@pytest.mark.parametrize("changes", [{"run_id": "x"}, {"status": None}, {"duration_ms": "1", "unknown": 1}])
def test_update_has_the_same_errors(
    store: RunStore, shared_server: Api, make_run: MakeRun, changes: dict[str, Any]
) -> None:
    """An invalid update is rejected with the messages of the 422."""
    run = make_run()
    store.create(run)
    shared_server.create(run)
    with pytest.raises(InvalidChangesError) as refused:
        store.update(run["event_id"], changes)
    detail = shared_server.patch(run["event_id"], changes).body["detail"]
    assert str(refused.value) == "; ".join(fault["msg"] for fault in detail)


@pytest.mark.parametrize(
    ("changes", "described"),
    [({1: 2}, "the integer 1"), ({None: 1, "status": "failed"}, "null"), ({("a",): 1}, "a Python tuple")],
)
def test_changes_whose_names_are_no_texts_are_refused(
    store: RunStore, make_run: MakeRun, changes: dict[Any, Any], described: str
) -> None:
    """A value that JSON does not have is an invalid change and named, like an unknown field; nothing changes."""
    created = store.create(make_run(event_id="a"))
    with pytest.raises(InvalidChangesError) as refused:
        store.update("a", changes)
    assert str(refused.value) == f"it has a key that is not text: {described}"
    assert store.get(created.run_id) == created


@pytest.mark.parametrize("commit", [{}, {"commit_hash": "x", "commit_source": "ci"}, {"commit_hash": "a" * 7, "x": 1}])
def test_commit_has_the_same_errors(store: RunStore, shared_server: Api, commit: dict[str, Any]) -> None:
    """An invalid commit is rejected with the message of the 400."""
    with pytest.raises(InvalidCommitError) as refused:
        store.associate_commit("any", commit)
    assert str(refused.value) == shared_server.commit("any", commit).body["detail"]


def test_unknown_runs_have_the_same_error(store: RunStore, shared_server: Api) -> None:
    """An unknown run raises the message of the 404, in every method."""
    commit = {"commit_hash": "abcdef0", "commit_source": "ci"}
    attempts: list[Callable[[], Run]] = [
        lambda: store.get("nobody"),
        lambda: store.update("nobody", {}),
        lambda: store.associate_commit("nobody", commit),
    ]
    for attempt in attempts:
        with pytest.raises(RunNotFoundError) as missed:
            attempt()
        assert str(missed.value) == shared_server.get("nobody").body["detail"]


def test_changes_have_the_same_results(store: RunStore, shared_server: Api, make_run: MakeRun) -> None:
    """Creating, updating and associating a commit leave the same run in process and over HTTP."""
    run = make_run(metrics_json={"a": 1}, newer=[None])
    changes = {"status": "failed", "metrics_json": None, "context_json": {"b": 1, "a": "\0"}}
    commit = {"commit_hash": "ABCDEF0", "commit_source": "llm", "commit_timestamp": "2026-01-31T12:00:00+01:00"}
    inside = [
        store.create(run),
        store.update(run["event_id"], changes),
        store.associate_commit(run["event_id"], commit),
    ]
    outside = [
        answer.body
        for answer in (
            shared_server.create(run),
            shared_server.patch(run["event_id"], changes),
            shared_server.commit(run["event_id"], commit),
        )
    ]
    assert [on_the_wire(changed) for changed in inside] == [
        {name: value for name, value in changed.items() if name not in SERVER_TIMES} for changed in outside
    ]
    assert store.get(run["run_id"]) == inside[-1]


def test_stored_runs_can_be_sent_again(store: RunStore, tmp_path: Path, make_run: MakeRun) -> None:
    """Runs as read are existing without a conflict in their own store, and created unchanged in another."""
    store.ingest_atomic([make_run(newer={"b": [1], "a": None}, metrics_json={"n": 2**70}), make_run()])
    read = store.page().runs
    again = store.ingest_lenient(read)
    assert (again.created, again.existing, again.conflicts, again.runs) == (0, 2, (), read)
    assert store.create(read[0]) == read[0]
    with open_store(tmp_path / "other.db") as other:
        copied = other.ingest_atomic(read)
    assert (copied.created, list(map(on_the_wire, copied.runs))) == (2, list(map(on_the_wire, read)))


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("start_time", datetime(2026, 1, 31, tzinfo=UTC), "datetime"),
        ("agent_name", b"bytes", "bytes"),
        ("metrics_json", {"a": (1, 2)}, "tuple"),
        ("metrics_json", {1: 2}, "key"),
        ("metrics_json", {"n": 10**4300}, "digits"),
    ],
)
def test_values_that_json_does_not_have_are_refused(
    store: RunStore, make_run: MakeRun, field: str, value: object, named: str
) -> None:
    """A Python value that JSON does not have is rejected and named, never converted."""
    with pytest.raises(RunRefusedError, match=named) as refused:
        store.create(make_run() | {field: value})
    assert [fault.field for fault in refused.value.refused.errors] == [field]


def test_pages_and_metadata(store: RunStore, make_run: MakeRun) -> None:
    """The list is filtered and paged, and the names are sorted, as over HTTP."""
    store.ingest_atomic([make_run(status=status, agent_name=status) for status in ("success", "failure", "running")])
    first = store.page(request=PageRequest(limit=2))
    rest = store.page(request=PageRequest(limit=2, cursor=first.next_cursor, counted=False))
    assert [run.agent_name for run in (*first.runs, *rest.runs)] == ["running", "failure", "success"]
    assert (first.total, rest.total, rest.next_cursor) == (3, None, None)
    assert [run.agent_name for run in store.page(RunFilter(status=Status.SUCCESS)).runs] == ["success"]
    assert store.metadata().agent_names.names == ("failure", "running", "success")


def test_file_may_be_open_in_a_server_too(server: Api, tmp_path: Path, make_run: MakeRun) -> None:
    """Runs written in process or over HTTP are visible to the other at once."""
    with open_store(tmp_path / "runs.db") as store:
        inside, outside = store.create(make_run(run_id="inside")), server.create(make_run(run_id="outside")).body
        assert server.get("inside").body["event_id"] == inside.event_id
        assert store.get("outside").event_id == outside["event_id"]


def test_threads_may_share_a_store(store: RunStore, make_run: MakeRun) -> None:
    """Overlapping batches from several threads create each run once."""
    runs = [make_run() for _ in range(60)]
    batches = [(runs + runs)[start : start + 30] for start in range(60)]
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(store.ingest_atomic, batches))
    assert sum(result.created for result in results) == store.page().total == 60


def test_runs_outlive_the_store(tmp_path: Path, make_run: MakeRun) -> None:
    """Runs written before leaving the block are there when the file is opened again."""
    with open_store(str(tmp_path / "runs.db")) as store:
        run = store.create(make_run())
    with open_store(tmp_path / "runs.db") as store:
        assert store.get(run.run_id) == run


def test_file_that_cannot_serve_is_refused(tmp_path: Path) -> None:
    """A missing directory is a one-line error of the product."""
    with pytest.raises(StoreUnusableError, match="does not exist"):
        open_store(tmp_path / "none" / "runs.db")


def test_import_needs_no_web_framework() -> None:
    """Importing the in-process API does not import aiohttp."""
    code = "import sys, entrypoints.embedded; print('aiohttp' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_an_id_that_is_no_text_is_not_found(tmp_path: Path) -> None:
    """A lone surrogate in a requested ID is an unknown run, not an encoding error."""
    with open_store(tmp_path / "runs.db") as runs:
        with pytest.raises(RunNotFoundError):
            runs.get("\ud800")
        with pytest.raises(RunNotFoundError):
            runs.update("\ud800", {"status": "failed"})


def every_use(store: RunStore, run: dict[str, Any]) -> list[Callable[[], object]]:
    """Return each method that needs the store, with valid arguments."""
    return [
        lambda: store.ingest_lenient([run]),
        lambda: store.ingest_atomic([run]),
        lambda: store.create(run),
        lambda: store.update(run["event_id"], {"status": "failed"}),
        lambda: store.associate_commit(run["event_id"], {"commit_hash": "abcdef0", "commit_source": "ci"}),
        lambda: store.get(run["run_id"]),
        store.page,
        store.metadata,
    ]


def test_a_closed_store_says_so(tmp_path: Path, make_run: MakeRun) -> None:
    """Every method raises the same error instead of hanging or reopening the file."""
    with open_store(tmp_path / "runs.db") as store:
        run = make_run()
        store.create(run)
        store.page()
    for use in every_use(store, run):
        with pytest.raises(StoreClosedError, match="the store is closed; open it again"):
            use()
    store.close()
    assert [path.name for path in tmp_path.iterdir()] == ["runs.db"]


def test_a_forked_process_opens_the_store_again(store: RunStore, tmp_path: Path, make_run: MakeRun) -> None:
    """Every method of the parent's store raises in a child; leaving the block is harmless; a new store works."""
    run = make_run(event_id="parent")
    store.create(run)
    store.page()
    assert {outcome_in_fork(use) for use in every_use(store, run)} == {"StoreForkedError"}
    assert outcome_in_fork(store.close) == ""

    def open_again() -> None:
        with open_store(tmp_path / "embedded.db") as own:
            own.create(make_run(event_id="child"))

    assert outcome_in_fork(open_again) == ""
    store.create(make_run(event_id="later"))
    assert {kept.event_id for kept in store.page().runs} == {"parent", "child", "later"}


def test_a_store_stays_with_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_run: MakeRun) -> None:
    """A relative path is resolved in the working directory at opening, for writing and for reading."""
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    with open_store("runs.db") as store:
        monkeypatch.chdir(tmp_path / "other")
        store.create(make_run())
        assert store.page().total == 1
    assert list((tmp_path / "other").iterdir()) == []


@pytest.mark.parametrize(
    "name", ["file:x?mode=ro", "file:x?mode=memory", ":memory:", " ", b"bytes.db", Path("path.db"), "é.db"]
)
def test_a_name_is_that_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_run: MakeRun, name: str | Path
) -> None:
    """Any text but a URL is a file name."""
    monkeypatch.chdir(tmp_path)
    with open_store(name) as store:
        store.create(make_run())
    assert [path.name for path in tmp_path.iterdir()] == [os.fsdecode(name)]


def test_a_name_cannot_be_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty name, such as from an unset variable, is neither a file nor a directory."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreUnusableError, match="the database name is empty; give a file or a URL"):
        open_store("")
    assert list(tmp_path.iterdir()) == []


LOOKED_AT: list[dict[str, Any]] = [
    {"event_id": "root", "run_id": "l", "status": "partial", "metrics_json": {"cost_usd": 2}, "duration_ms": 5},
    {"event_id": "child", "run_id": "l/c", "parent_run_id": "l", "status": "failure", "error_summary": "refused"},
    {"event_id": "call", "run_id": "l/c/1", "parent_run_id": "l/c", "metrics_json": {"cost_usd": 0.5}},
]


def test_looking_at_runs_is_as_over_http(store: RunStore, server: Api, make_run: MakeRun) -> None:
    """Trees, rollups, statistics and facets are those of the responses."""
    runs = [make_run(**run) for run in LOOKED_AT]
    assert store.ingest_atomic(runs).created == server.atomic(runs).counts[1] == 3
    tree = server.request("GET", "/api/v1/runs/l/tree").body
    assert [(node.run.event_id, node.parent, node.depth) for node in store.tree("l").nodes] == [
        (run["event_id"], run["parent"], run["depth"]) for run in tree["runs"]
    ]
    assert (store.tree("l", limit=1).truncated, len(store.tree("l", event_id="root").nodes)) == (True, 3)
    rollup = store.rollup("l")
    assert rollup is not None
    assert json.loads(encode(rollup_answer(rollup))) == server.request("GET", "/api/v1/runs/l/rollup").body
    query = "/api/v1/stats?roots=true&bucket=3600&metrics=cost_usd"
    statistics = store.statistics(RunFilter(roots=True), 3600, ["cost_usd"])
    assert json.loads(encode(statistics_answer(statistics))) == server.request("GET", query).body
    found = store.facets(RunFilter(roots=True), ["status"])
    assert (
        json.loads(encode(facets_answer(found)))
        == server.request("GET", "/api/v1/facets?roots=true&fields=status").body
    )


def test_looking_at_runs_breaks_the_same_rules(store: RunStore) -> None:
    """What over HTTP is 404 or 422 raises."""
    for missing in (lambda: store.tree("none"), lambda: store.rollup("none")):
        with pytest.raises(RunNotFoundError):
            missing()
    for wrong in (
        lambda: store.tree("none", limit=0),
        lambda: store.statistics(bucket_seconds=0),
        lambda: store.statistics(metrics=["a b"]),
        lambda: store.facets(fields=["event_id"]),
        lambda: store.facets(RunFilter(agent_name="a\0b")),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidQueryError):
            wrong()
