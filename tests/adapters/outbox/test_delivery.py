"""Delivery: everything exactly once and in order, whatever fails and when."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.api_client.connection import ApiResponse
from adapters.api_client.errors import InvalidResponseError
from adapters.api_client.operations import Operation, Requests, encode_run
from adapters.outbox.delivery import MAX_BATCH_RUNS, Delivery, DeliveryError
from adapters.outbox.intake import Intake
from adapters.outbox.outbox import Outbox
from adapters.outbox.queue import Kind, NewEntry, Queue
from core.errors import ServerUnreachableError
from core.model.run import Run
from entrypoints.embedded import RunStore, open_store

RUN = {"run_id": "r", "agent_name": "a", "job_type": "b", "start_time": "2026-01-31T12:00:00Z"}


def response(status: int, document: object, **headers: str) -> ApiResponse:
    """A response in JSON."""
    return ApiResponse(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, msgspec.json.encode(document)
    )


class FakeServer:
    """Does to a dictionary what a server does to its store, and writes down what changed."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.history: list[tuple[str, str]] = []
        self.requests = 0

    def __call__(self, operation: Operation[Any]) -> ApiResponse:
        self.requests += 1
        document = msgspec.json.decode(operation.body or b"")
        if "batch" in operation.path:
            return self._batch(document["runs"], atomic="transactional" in operation.path)
        event_id = operation.path.split("/")[4]
        if event_id not in self.runs:
            return response(404, {"detail": f"Run not found: {event_id}"})
        self.runs[event_id] |= document
        self.history.append((event_id, str(document)))
        return response(200, self.runs[event_id])

    def _batch(self, runs: list[dict[str, Any]], *, atomic: bool) -> ApiResponse:
        bad = [(index, run) for index, run in enumerate(runs) if run.get("product") == "bad"]
        good = [] if atomic and bad else [run for run in runs if run.get("product") != "bad"]
        new = {run["event_id"]: run for run in reversed(good) if run["event_id"] not in self.runs}
        self.runs |= new
        self.history.extend((event_id, "created") for event_id in new)
        errors = [
            {"index": index, "event_id": run["event_id"], "field": "product", "error": "product is bad"}
            for index, run in bad
        ]
        failed = len(runs) - len(good)
        status = (400 if atomic else 500 if good else 422) if bad else 201
        counts = {"total": len(runs), "created": len(new), "existing": len(good) - len(new), "failed": failed}
        return response(status, {"runs": [], **counts, "errors": errors, "conflicts": [], "detail": "bad"})


FAULTS = ["none", "before", "after", "503", "502 after", "garbage"]


class FaultyServer(FakeServer):
    """A server that fails before or after it has acted, as it is told."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__()
        self._faults = iter(faults)

    def __call__(self, operation: Operation[Any]) -> ApiResponse:
        fault = next(self._faults, "none")
        if fault == "before":
            raise ServerUnreachableError("cannot reach it")
        if fault == "503":
            return response(503, {"detail": "busy"}, retry_after="0")
        answer = super().__call__(operation)
        if fault == "after":
            raise ServerUnreachableError("broke off")
        if fault == "garbage":
            raise InvalidResponseError("no HTTP")
        return response(502, {}) if fault == "502 after" else answer


def deliver_all(queue: Queue, exchange: Callable[[Operation[Any]], ApiResponse]) -> int:
    """Deliver until nothing is left; how often that failed."""
    failures = 0
    delivery = Delivery(queue, exchange)
    while True:
        try:
            if not delivery.step():
                return failures
        except DeliveryError:
            failures += 1


calls = st.lists(
    st.tuples(
        st.sampled_from(["send", "bad", "update", "commit", "atomic"]),
        st.integers(0, 4),
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(calls=calls, faults=st.lists(st.sampled_from(FAULTS), max_size=20), window=st.integers(1, 5))
def test_exactly_once_in_order(calls: list[tuple[str, int]], faults: list[str], window: int) -> None:
    """Under any failures the server ends as if each call had been carried out once, in order."""
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr("adapters.outbox.delivery.MAX_BATCH_RUNS", window)
        queue = Queue(Path(directory) / "outbox")
        requests, faulty = Requests(), FaultyServer(faults)
        expected: dict[str, list[str]] = {}
        for number, (kind, key) in enumerate(calls):
            event_id = f"e-{key}"
            known = event_id in expected
            if kind in {"send", "atomic", "bad"}:
                bad = {"product": "bad"} if kind == "bad" else {}
                run = requests.candidate({**RUN, "event_id": event_id, **bad})
                assert isinstance(run, Run)
                body = encode_run(run)
                queue.put(
                    [
                        NewEntry(Kind.BATCH, event_id, b"[" + body + b"]")
                        if kind == "atomic"
                        else NewEntry(Kind.RUN, event_id, body)
                    ]
                )
                if kind != "bad" and not known:
                    expected[event_id] = ["created"]
            else:
                change = {"duration_ms": number} if kind == "update" else {"commit_hash": f"{number:07}"}
                queue.put(
                    [NewEntry(Kind.CHANGES if kind == "update" else Kind.COMMIT, event_id, msgspec.json.encode(change))]
                )
                if known:
                    expected[event_id].append(str(change))
        deliver_all(queue, faulty)
        assert queue.totals().entries == 0
        for event_id, history in expected.items():
            assert faulty.runs[event_id] is not None
            seen = [what for key, what in faulty.history if key == event_id]
            # A change that was not acknowledged is made again, right after itself; a creation never is.
            once = [what for index, what in enumerate(seen) if index == 0 or what != seen[index - 1]]
            assert [what for what in once if what in history] == history
            assert seen.count("created") == 1
        queue.close()


def test_batches(tmp_path: Path) -> None:
    """Creations go together, and changes one by one after them."""
    queue, server = Queue(tmp_path / "outbox"), FakeServer()
    queue.put([NewEntry(Kind.RUN, f"e-{n}", msgspec.json.encode({"event_id": f"e-{n}"})) for n in range(2500)])
    queue.put([NewEntry(Kind.CHANGES, "e-7", b'{"items_failed":1}')])
    assert deliver_all(queue, server) == 0
    assert (len(server.runs), server.requests) == (2500, -(-2500 // MAX_BATCH_RUNS) + 1)
    queue.close()


def test_a_batch_that_is_too_large_is_halved(tmp_path: Path) -> None:
    """A server with smaller limits gets smaller batches; the run that alone is too large is set aside."""
    queue, server = Queue(tmp_path / "outbox"), FakeServer()

    def strict(operation: Operation[Any]) -> ApiResponse:
        if len(operation.body or b"") > 400:
            return response(413, {"detail": "too large"})
        return server(operation)

    queue.put([NewEntry(Kind.RUN, f"e-{n}", msgspec.json.encode({"event_id": f"e-{n}"})) for n in range(50)])
    queue.put([NewEntry(Kind.RUN, "large", msgspec.json.encode({"event_id": "large", "a": "x" * 500}))])
    deliver_all(queue, strict)
    assert len(server.runs) == 50
    assert [(one.event_id, one.error) for one in queue.rejections()] == [("large", "413 too large")]
    queue.close()


@pytest.mark.parametrize("status", [301, 401, 403, 404, 405, 415, 429, 500, 503, 507])
def test_what_is_no_fault_of_the_runs_keeps_them(tmp_path: Path, status: int) -> None:
    """A wrong token, a wrong URL or a failing server reject nothing."""
    queue = Queue(tmp_path / "outbox")
    for kind, body in ((Kind.RUN, b"{}"), (Kind.CHANGES, b"{}"), (Kind.BATCH, b"[{}]"), (Kind.COMMIT, b"{}")):
        queue.put([NewEntry(kind, "e", body)])
        with pytest.raises(DeliveryError, match=str(status)):
            Delivery(queue, lambda _: response(status, {"detail": "no"}, retry_after="3")).step()
        assert (queue.totals().entries, queue.totals().rejections) == (1, 0)
        queue.remove(queue.first(1, 1))
    queue.close()


def test_retry_after_is_handed_on(tmp_path: Path) -> None:
    """Who delivers learns how long to wait."""
    queue = Queue(tmp_path / "outbox")
    queue.put([NewEntry(Kind.RUN, "e", b"{}")])
    with pytest.raises(DeliveryError) as caught:
        Delivery(queue, lambda _: response(503, {}, retry_after="7")).step()
    assert caught.value.retry_after == 7
    queue.close()


def test_several_outboxes_on_one_file(tmp_path: Path) -> None:
    """Clients of one file deliver each entry once, whoever queued it."""
    server = FakeServer()
    outboxes = [Outbox.open(tmp_path / "outbox", server) for _ in range(3)]
    intakes = [Intake(Requests(), outbox) for outbox in outboxes]
    for number in range(60):
        intake = intakes[number % 3]
        intake.send({**RUN, "event_id": f"e-{number}"})
        intake.update(f"e-{number}", {"items_failed": number})
    assert all(intake.flush(30).complete for intake in intakes)
    assert len(server.runs) == 60
    assert len(server.history) == 120
    for intake in intakes:
        intake.close(1)


def test_a_crash_of_the_exchange_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A fault of our own is logged with its traceback, and delivery goes on."""
    server, faults = FakeServer(), [ZeroDivisionError("oh")]

    def exchange(operation: Operation[Any]) -> ApiResponse:
        if faults:
            raise faults.pop()
        return server(operation)

    outbox = Outbox.open(tmp_path / "outbox", exchange)
    Intake(Requests(), outbox).send({**RUN, "event_id": "e"})
    assert outbox.flush(20).complete
    assert "ZeroDivisionError" in caplog.text
    outbox.close()


def test_stores_agree(tmp_path: Path) -> None:
    """What an outbox sends is what a store takes in process."""
    store: RunStore
    with open_store(tmp_path / "runs.db") as store:
        queue = Queue(tmp_path / "outbox")
        Intake(Requests(), Outbox(queue, FaultyServer(["503"] * 1000))).send({**RUN, "colour": "red"})
        (waiting,) = queue.first(1, 1)
        sent = store.create(msgspec.json.decode(waiting.body))
        assert sent.extra == '{"colour":"red"}'
        queue.close()
