"""The ingest use cases: a lenient batch, an atomic batch, and a single run.

Each works inside a unit of work that its caller has entered and will commit, so that several batches can share one
commit. Nothing is acknowledged before that commit.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Final

import attrs

from core.errors import (
    BatchRolledBackError,
    BatchTooLargeError,
    EveryRunRefusedError,
    NotABatchError,
    ResponseTooLargeError,
    RunRefusedError,
)
from core.model.batch import BatchResult, Candidate, Conflict, RefusedRun
from core.model.run import EventId, Run, count_text_bytes, differing_fixed_fields
from core.ports.unit_of_work import UnitOfWork
from core.use_cases.retention import reject_expired

Admit = Callable[[int], object]
"""Called with the total bytes of text of the stored runs in a result as it grows; raises if there are too many."""

_UNADMITTED_BYTES: Final = 256 * 1024
"""The maximum bytes of stored runs read between two calls of ``Admit``."""


def check_batch_size(size: int, limit: int) -> None:
    """Raise ``NotABatchError`` for an empty batch and ``BatchTooLargeError`` for one of more than ``limit`` runs."""
    if size < 1:
        raise NotABatchError("runs", "runs must contain at least 1 run")
    if size > limit:
        raise BatchTooLargeError(size, limit)


def check_response_size(size: int, limit: int) -> None:
    """Raise ``ResponseTooLargeError`` if ``size`` bytes of stored runs are too large for one response."""
    if size > limit:
        raise ResponseTooLargeError(limit)


def ingest_lenient(batch: Sequence[Candidate], work: UnitOfWork, admit: Admit | None) -> BatchResult:
    """Store every valid run and report every invalid one. Without ``admit``, the result holds no runs.

    Raises:
        EveryRunRefusedError: no run is valid.
    """
    batch = reject_expired(batch, range(len(batch)), work)
    refused = _refused(batch)
    if len(refused) == len(batch):
        raise EveryRunRefusedError(_nothing_stored(batch, refused))
    return _store(batch, refused, work, admit)


def ingest_any(batch: Sequence[Candidate], indices: Sequence[int], work: UnitOfWork) -> BatchResult:
    """Store every good run and name every bad one, be there any or none; the result holds no runs.

    ``indices`` are what runs that are rejected here have for their index, one for each candidate.
    """
    batch = reject_expired(batch, indices, work)
    return _store(batch, _refused(batch), work, None)


def ingest_atomic(batch: Sequence[Candidate], work: UnitOfWork, admit: Admit | None) -> BatchResult:
    """Store all runs or none. Without ``admit``, the result holds no runs.

    Raises:
        BatchRolledBackError: at least one run is invalid; the error names all of them.
    """
    batch = reject_expired(batch, range(len(batch)), work)
    refused = _refused(batch)
    if refused:
        raise BatchRolledBackError(_nothing_stored(batch, refused))
    return _store(batch, refused, work, admit)


@attrs.frozen
class SingleRun:
    """A valid run that is stored on its own; ``admit`` is called with the size of the stored one if it exists."""

    run: Run
    admit: Admit


def require_valid(candidate: Candidate) -> Run:
    """Return a candidate that is a run; raise ``RunRefusedError`` for any other."""
    if isinstance(candidate, RefusedRun):
        raise RunRefusedError(candidate)
    return candidate


def create_runs(singles: Sequence[SingleRun], work: UnitOfWork) -> Sequence[Run | Exception]:
    """Store single runs of different clients together; return each as stored, or the error that its client gets.

    A run is only too large for a response if it exists already, so nothing was stored for it.
    """
    groups: dict[EventId, list[int]] = {}
    outcomes: dict[int, Run | Exception] = {}
    candidates = reject_expired([single.run for single in singles], [0] * len(singles), work)
    for place, candidate in enumerate(candidates):
        if isinstance(candidate, RefusedRun):
            outcomes[place] = RunRefusedError(candidate)
        else:
            groups.setdefault(candidate.event_id, []).append(place)

    def note_existing(stored: Run) -> None:
        for place in groups[stored.event_id]:
            outcomes[place] = _admit(singles[place], stored)

    work.runs.add([singles[places[0]].run for places in groups.values()], note_existing)
    for first, *repeated in groups.values():
        if first not in outcomes:
            outcomes[first] = singles[first].run
            for place in repeated:
                outcomes[place] = _admit(singles[place], singles[first].run)
    return [outcomes[place] for place in range(len(singles))]


def _admit(single: SingleRun, stored: Run) -> Run | Exception:
    try:
        single.admit(count_text_bytes(stored))
    except Exception as error:  # noqa: BLE001 - it concerns only the client of this run
        return error
    return stored


def _refused(batch: Sequence[Candidate]) -> tuple[RefusedRun, ...]:
    return tuple(candidate for candidate in batch if isinstance(candidate, RefusedRun))


def _nothing_stored(batch: Sequence[Candidate], refused: tuple[RefusedRun, ...]) -> BatchResult:
    return BatchResult(runs=(), total=len(batch), created=0, existing=0, failed=len(batch), refused=refused)


def _store(
    batch: Sequence[Candidate], refused: tuple[RefusedRun, ...], work: UnitOfWork, admit: Admit | None
) -> BatchResult:
    """Store the valid runs in either mode: the first run of each ``event_id`` is created unless it exists."""
    sent = _Sent(batch, admit)
    work.runs.add(sent.firsts(), sent.note_existing)
    created = sent.count_created()
    return BatchResult(
        runs=sent.stored() if admit else (),
        total=len(batch),
        created=created,
        existing=len(batch) - len(refused) - created,
        failed=len(refused),
        refused=refused,
        conflicts=sent.conflicts(),
    )


class _Sent:
    """The valid runs of a batch, and what is known about those that already exist."""

    def __init__(self, batch: Sequence[Candidate], admit: Admit | None) -> None:
        self._places = [(index, run) for index, run in enumerate(batch) if isinstance(run, Run)]
        self._groups: dict[EventId, list[tuple[int, Run]]] = {}
        for place in self._places:
            self._groups.setdefault(place[1].event_id, []).append(place)
        self._admit = admit
        self._existing: dict[EventId, Run | None] = {}
        self._conflicts: list[Conflict] = []
        self._bytes = self._admitted_bytes = 0

    def firsts(self) -> list[Run]:
        """Return the first run of each ``event_id``."""
        return [group[0][1] for group in self._groups.values()]

    def note_existing(self, stored: Run) -> None:
        """Note a run that already exists; keep it only if the result is to include it."""
        group = self._groups[stored.event_id]
        self._compare(group, stored)
        if self._admit is None:
            self._existing[stored.event_id] = None
            return
        self._existing[stored.event_id] = stored
        self._bytes += count_text_bytes(stored) * len(group)
        if self._bytes - self._admitted_bytes > _UNADMITTED_BYTES:
            self._admit(self._bytes)
            self._admitted_bytes = self._bytes

    def count_created(self) -> int:
        """Return the number of new runs, once all existing ones are noted."""
        return len(self._groups) - len(self._existing)

    def stored(self) -> tuple[Run, ...]:
        """Return the stored runs in the order sent."""
        existing, groups = self._existing, self._groups
        return tuple(existing.get(run.event_id) or groups[run.event_id][0][1] for _, run in self._places)

    def conflicts(self) -> tuple[Conflict, ...]:
        """Return the conflicts in the order their runs were sent."""
        if len(self._groups) < len(self._places):
            for event_id, group in self._groups.items():
                if event_id not in self._existing:
                    self._compare(group[1:], group[0][1])
        return tuple(sorted(self._conflicts, key=attrgetter("index")))

    def _compare(self, group: Sequence[tuple[int, Run]], stored: Run) -> None:
        for index, run in group:
            if fields := differing_fixed_fields(run, stored):
                self._conflicts.append(Conflict(index, run.event_id, fields))
