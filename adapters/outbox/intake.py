"""What a client does with runs and changes when it has an outbox: check them, queue them, and disturb nobody."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from adapters.api_client.operations import Requests, RunLike, encode_commit, encode_run
from adapters.outbox.outbox import FlushResult, Outbox
from adapters.outbox.queue import Kind, NewEntry
from adapters.wire.encode import encode
from core.errors import BatchRolledBackError, OutboxError, RunRefusedError
from core.model.batch import BatchResult, RefusedRun
from core.model.run import Run
from core.validation.keys import require_key

_log: Final = logging.getLogger("runsink")


@attrs.frozen
class Queued:
    """What was queued: the keys of the runs it is about, and the runs that break the rules and were left out."""

    event_ids: tuple[str, ...] = ()
    refused: tuple[RefusedRun, ...] = ()


class Intake:
    """Queues what is to be sent. Usable from any thread.

    With ``raise_errors`` what cannot be queued raises; otherwise it is logged and counted, for an agent is not to fail
    because of what it reports.
    """

    def __init__(self, requests: Requests, outbox: Outbox, *, raise_errors: bool = False) -> None:
        self._requests = requests
        self._outbox = outbox
        self._raise_errors = raise_errors

    def send(self, run: RunLike) -> Queued:
        """Queue one run."""
        return self._guarded(lambda: self._send(run))

    def send_batch(self, runs: Sequence[RunLike], *, atomic: bool) -> Queued:
        """Queue runs; those of an atomic batch are delivered all or none."""
        return self._guarded(lambda: self._send_batch(runs, atomic=atomic))

    def update(self, event_id: str, changes: Mapping[str, Any]) -> Queued:
        """Queue changes of a run, which may be queued itself."""
        return self._guarded(lambda: self._put_one(Kind.CHANGES, event_id, encode(self._requests.changes(changes))))

    def associate_commit(self, event_id: str, commit: Mapping[str, Any]) -> Queued:
        """Queue the association of a commit with a run, which may be queued itself."""
        return self._guarded(lambda: self._put_one(Kind.COMMIT, event_id, encode_commit(self._requests.commit(commit))))

    def flush(self, timeout: float | None) -> FlushResult:
        """Wait for the delivery of what is queued."""
        return self._told(lambda: self._outbox.flush(timeout))

    def close(self, timeout: float | None) -> FlushResult:
        """Wait for it and let go of the outbox."""
        return self._told(lambda: self._outbox.close(timeout))

    def _told(self, call: Callable[[], FlushResult]) -> FlushResult:
        try:
            return call()
        except OutboxError as error:
            if self._raise_errors:
                raise
            _log.warning("what is left in the outbox is unknown: %s", error)
            return FlushResult(0, 0, 0, obstacle=str(error))

    def _send(self, run: RunLike) -> Queued:
        candidate = self._requests.candidate(run)
        if isinstance(candidate, RefusedRun):
            raise RunRefusedError(candidate)
        return self._put([NewEntry(Kind.RUN, candidate.event_id, encode_run(candidate))])

    def _send_batch(self, runs: Sequence[RunLike], *, atomic: bool) -> Queued:
        candidates = self._requests.candidates(runs)
        good = [candidate for candidate in candidates if isinstance(candidate, Run)]
        refused = tuple(candidate for candidate in candidates if isinstance(candidate, RefusedRun))
        if atomic and refused:
            raise BatchRolledBackError(BatchResult((), len(runs), 0, 0, len(runs), refused))
        if refused:
            self._outbox.note_refusal(len(refused))
            for run in refused:
                _log.warning("a run was not queued: %s", "; ".join(map(str, run.errors)))
        bodies = [encode_run(run) for run in good]
        if atomic:
            self._outbox.put([NewEntry(Kind.BATCH, good[0].event_id, b"[" + b",".join(bodies) + b"]")])
        elif good:
            self._outbox.put([NewEntry(Kind.RUN, run.event_id, body) for run, body in zip(good, bodies, strict=True)])
        return Queued(tuple(run.event_id for run in good), refused)

    def _put_one(self, kind: Kind, event_id: str, body: bytes) -> Queued:
        return self._put([NewEntry(kind, require_key(event_id), body)])

    def _put(self, entries: Sequence[NewEntry]) -> Queued:
        self._outbox.put(entries)
        return Queued(tuple(entry.event_id for entry in entries))

    def _guarded(self, call: Callable[[], Queued]) -> Queued:
        try:
            return call()
        except Exception as error:
            self._outbox.note_refusal()
            if self._raise_errors:
                raise
            _log.warning("nothing was queued: %s", error)
            if isinstance(error, RunRefusedError):
                return Queued(refused=(error.refused,))
            return Queued(refused=error.result.refused if isinstance(error, BatchRolledBackError) else ())
