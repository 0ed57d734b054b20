"""The state machine's driver over HTTP, for a server that is stopped and started again."""

import signal
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs

from adapters.sqlite import SqliteStore
from tests.faults.stoppable_server import StoppableServer
from tests.properties.driver import Driver, Page, Sent, Told, Verdict, prune_store
from tests.properties.model import Kept, shown
from tests.properties.strategies import kept_timestamp
from tests.servers import Answer

_ENDPOINTS = {True: "batch-transactional", False: "batch"}
_VERDICTS = {
    True: {201: Verdict.TAKEN, 400: Verdict.REFUSED},
    False: {201: Verdict.TAKEN, 500: Verdict.PARTLY, 422: Verdict.REFUSED},
}


class Steps:
    """Names the server's instants after the step in which they arose, since the server's clock cannot be set.

    A step has one instant, between its beginning and the first reading; any other is left as it is and so
    equals nothing that the model expects.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._number = 0
        self._began = ""

    def tick(self) -> str:
        """Begin the next step; return its name."""
        self._number += 1
        self._began = _now()
        return self._name

    @property
    def _name(self) -> str:
        return f"step {self._number}"

    def name(self, instant: str) -> str:
        """Return the step of an instant."""
        if instant not in self._names and self._name not in self._names.values() and self._began <= instant <= _now():
            self._names[instant] = self._name
        return self._names.get(instant, instant)


def _now() -> str:
    return kept_timestamp(datetime.now(UTC))


@attrs.frozen
class Write:
    """A write request, to be sent by other means."""

    method: str
    path: str
    document: Any


def batch(runs: Sequence[Sent], *, atomic: bool) -> Write:
    """Return the upload of a batch."""
    return Write("POST", f"/api/v1/runs/{_ENDPOINTS[atomic]}", {"runs": runs})


def update(event_id: str, changes: Sent) -> Write:
    """Return the update of a run."""
    return Write("PATCH", f"/api/v1/runs/{quote(event_id, safe='')}", changes)


class HttpDriver(Driver):
    """One server after another, over one database."""

    def __init__(self, db: Path) -> None:
        self._db = db
        self._steps = Steps()
        self._server = StoppableServer.start(db)

    def tick(self) -> str:
        return self._steps.tick()

    def ingest(self, runs: Sequence[object], *, atomic: bool) -> Told:
        answer = self._server.api.upload(_ENDPOINTS[atomic], runs)
        body = answer.body
        assert (answer.status == 201) == ("detail" not in body and body["failed"] == 0)
        return Told(
            _VERDICTS[atomic][answer.status],
            answer.counts,
            self._all_shown(body["runs"]),
            [
                (conflict["index"], conflict["event_id"], frozenset(conflict["fields"]))
                for conflict in body["conflicts"]
            ],
            [(error["index"], error["field"]) for error in body["errors"]],
        )

    def create(self, run: Sent) -> Kept | None:
        return self._one(self._server.api.create(run), taken=201, not_taken=422)

    def update(self, event_id: str, changes: Sent) -> Kept | None:
        return self._one(self._server.api.patch(event_id, changes))

    def associate_commit(self, event_id: str, commit: Sent) -> Kept | None:
        return self._one(self._server.api.commit(event_id, commit))

    def newest(self, run_id: str) -> Kept | None:
        return self._one(self._server.api.get(run_id))

    def page(self, which: Mapping[str, str], *, limit: int, offset: int = 0, cursor: Any = None) -> Page:
        place = {"offset": offset} if cursor is None else {"cursor": cursor}
        answer = self._server.api.find(**which, limit=limit, **place)
        assert answer.status == 200
        body = answer.body
        assert (body["limit"], body["offset"]) == (limit, offset)
        return Page(self._all_shown(body["runs"]), body["total"], body["next_cursor"])

    def names(self) -> tuple[list[str], list[str]]:
        body = self._server.api.request("GET", "/api/v1/metadata").body
        names = body["agent_names"], body["job_types"]
        assert tuple(body["counts"].values()) == tuple(map(len, names))
        return names

    def prune(self, horizon: str) -> None:
        """See the driver: from another process than the server's."""
        with closing(SqliteStore(self._db)) as store:
            prune_store(store, horizon)

    def reopen(self) -> None:
        assert self._server.stop(signal.SIGTERM) == 0
        self._start()

    def kill(self) -> None:
        """End the server without warning, between two requests, and start the next."""
        assert self._server.stop(signal.SIGKILL) == -signal.SIGKILL
        self._start()

    def kill_in(self, write: Write, sent: float, delay: float) -> Answer | None:
        """Kill the server during a request, and start the next; return the response, if any."""
        answer = self._server.killed_in(write.method, write.path, write.document, sent, delay)
        self._start()
        return answer

    def close(self) -> None:
        """End the last server without warning."""
        assert self._server.stop(signal.SIGKILL) == -signal.SIGKILL

    def in_steps(self, run: Kept) -> Kept:
        """Return a run with its instants as steps."""
        return run | {field: self._steps.name(run[field]) for field in ("created_at", "updated_at")}

    def _all_shown(self, runs: Sequence[Mapping[str, Any]]) -> list[Kept]:
        return [self.in_steps(shown(run)) for run in runs]

    def _one(self, answer: Answer, taken: int = 200, not_taken: int = 404) -> Kept | None:
        if answer.status == not_taken:
            assert answer.body["detail"]
            return None
        assert answer.status == taken
        return self.in_steps(shown(answer.body))

    def _start(self) -> None:
        self._server = StoppableServer.start(self._db)
