"""The ingest use case: uploads, each of them a lenient batch, an atomic batch, a single run or a part of a stream.

It works inside a unit of work that its caller has entered and will commit. Uploads that share a commit share one
``add`` as well, since every statement costs as much as several runs. Nothing is acknowledged before that commit.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum, auto
from functools import partial
from itertools import chain, islice
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

MAX_SHARED_RUNS: Final = 1000
"""The maximum number of runs that several uploads store by one ``add``.

A store may copy the runs of an ``add``, so several uploads must not need more memory for it than one full batch. The
gain is gone long before that: it is the same for each statement, however many runs it is about.
"""


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


class Mode(Enum):
    """What an upload is, and so what an invalid run does to it."""

    PART = auto()
    """Every valid run is stored, be there any or none."""

    LENIENT = auto()
    """Every valid run is stored; ``EveryRunRefusedError`` if there is none."""

    ATOMIC = auto()
    """All runs are stored or none; ``BatchRolledBackError`` if any is invalid. It names all of those."""

    SINGLE = auto()
    """The one run is stored; ``RunRefusedError`` if it is invalid."""


@attrs.frozen
class Upload:
    """The runs that one client sends at once. Without ``admit``, the result holds no runs.

    ``indices`` are what runs that are rejected here have for their index, one for each candidate; by default they are
    counted from 0.
    """

    mode: Mode
    batch: Sequence[Candidate]
    admit: Admit | None = None
    indices: Sequence[int] | None = None


def single_upload(candidate: Candidate, admit: Admit) -> Upload:
    """Return the upload of a single run; raise ``RunRefusedError`` if it is invalid."""
    if isinstance(candidate, RefusedRun):
        raise RunRefusedError(candidate)
    return Upload(Mode.SINGLE, (candidate,), admit)


def ingest(upload: Upload, work: UnitOfWork) -> BatchResult:
    """Store the runs of one upload.

    Raises:
        EveryRunRefusedError, BatchRolledBackError, RunRefusedError: as its mode says; nothing was stored.
    """
    (outcome,) = ingest_all([upload], work)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def ingest_all(uploads: Sequence[Upload], work: UnitOfWork) -> Sequence[BatchResult | Exception]:
    """Store the runs of several uploads as if they came one after the other.

    Return for each its result, or the error that its client gets; nothing of such an upload was stored. If ``admit``
    of an upload raises when other runs of it may have been stored, the error propagates: the caller rolls back what
    was done and calls again for each upload alone.
    """
    intakes = [_Intake(upload, batch) for upload, batch in zip(uploads, _without_expired(uploads, work), strict=True)]
    for part in _parts([intake for intake in intakes if intake.runs]):
        _add(part, work)
    return [intake.outcome() for intake in intakes]


def _without_expired(uploads: Sequence[Upload], work: UnitOfWork) -> Iterator[Sequence[Candidate]]:
    """Return the batches with every run that starts before the retention horizon rejected. It is read only once."""
    batch = list(chain.from_iterable(upload.batch for upload in uploads))
    indices = chain.from_iterable(upload.indices or range(len(upload.batch)) for upload in uploads)
    candidates = iter(reject_expired(batch, list(indices), work))
    return (list(islice(candidates, len(upload.batch))) for upload in uploads)


def _parts(intakes: Sequence["_Intake"]) -> Iterator[Sequence["_Intake"]]:
    """Return the intakes in parts that share an ``add``; one with more runs than that has its own."""
    part: list[_Intake] = []
    size = 0
    for intake in intakes:
        if part and size + len(intake.runs) > MAX_SHARED_RUNS:
            yield part
            part, size = [], 0
        part.append(intake)
        size += len(intake.runs)
    if part:
        yield part


def _add(intakes: Sequence["_Intake"], work: UnitOfWork) -> None:
    """Store the first run of each ``event_id`` unless it exists, and tell the intake of every other run so."""
    firsts: dict[EventId, _Sent] = {}
    repeated: dict[EventId, list[_Sent]] = {}
    for intake in intakes:
        for index, run in intake.runs:
            sent = intake, index, run
            if firsts.setdefault(run.event_id, sent) is not sent:
                repeated.setdefault(run.event_id, []).append(sent)

    # Not a nested function: the traceback of what ``admit`` raises would keep its variables, frames cleared or not.
    found = partial(_note_found, firsts, repeated)
    work.runs.add([run for _, _, run in firsts.values()], found)
    for event_id, others in repeated.items():
        _note_repeated(others, firsts[event_id][2])


def _note_found(firsts: Mapping[EventId, "_Sent"], repeated: dict[EventId, list["_Sent"]], stored: Run) -> None:
    """Tell the intakes that sent it that a run is stored already."""
    intake, index, run = firsts[stored.event_id]
    intake.note_existing(index, run, stored)
    if repeated:
        _note_repeated(repeated.pop(stored.event_id, ()), stored)


def _note_repeated(others: Iterable["_Sent"], stored: Run) -> None:
    for intake, index, run in others:
        intake.note_existing(index, run, stored)


class _Intake:
    """One upload: its valid runs with their indices, and what is known about those that exist already."""

    def __init__(self, upload: Upload, batch: Sequence[Candidate]) -> None:
        self._upload = upload
        self._size = len(batch)
        self._refused = tuple(candidate for candidate in batch if isinstance(candidate, RefusedRun))
        self._error = self._rejection()
        self.runs = [] if self._error else [(index, run) for index, run in enumerate(batch) if isinstance(run, Run)]
        """The runs to store; none if the upload is rejected as a whole."""
        self._stored: dict[EventId, Run] = {}
        self._existing = self._bytes = self._admitted_bytes = 0
        self._conflicts: list[Conflict] = []

    def note_existing(self, index: int, run: Run, stored: Run) -> None:
        """Note that a run exists already; keep the stored one only if the result is to include it."""
        self._existing += 1
        if fields := differing_fixed_fields(run, stored):
            self._conflicts.append(Conflict(index, run.event_id, fields))
        if self._upload.admit is not None:
            self._stored[stored.event_id] = stored
            self._bytes += count_text_bytes(stored)
            if self._bytes - self._admitted_bytes > _UNADMITTED_BYTES:
                self._admit(self._upload.admit)

    def outcome(self) -> BatchResult | Exception:
        """Return the result, once every existing run is noted, or the error of this upload."""
        if self._upload.admit is not None and self._bytes > self._admitted_bytes:
            self._admit(self._upload.admit)
        return self._error or BatchResult(
            runs=self._stored_runs() if self._upload.admit else (),
            total=self._size,
            created=len(self.runs) - self._existing,
            existing=self._existing,
            failed=len(self._refused),
            refused=self._refused,
            conflicts=tuple(sorted(self._conflicts, key=attrgetter("index"))),
        )

    def _stored_runs(self) -> tuple[Run, ...]:
        """Return the stored runs in the order sent."""
        return tuple([self._stored.get(run.event_id, run) for _, run in self.runs])

    def _admit(self, admit: Admit) -> None:
        self._admitted_bytes = self._bytes
        if self._size > 1:
            admit(self._bytes)
        else:
            # The only run of the upload exists already, so nothing of it was stored.
            self._error = _error_of(admit, self._bytes)

    def _rejection(self) -> Exception | None:
        """Return the error of an upload that is rejected because of its invalid runs."""
        if not self._refused:
            return None
        result = BatchResult((), self._size, created=0, existing=0, failed=self._size, refused=self._refused)
        match self._upload.mode:
            case Mode.SINGLE:
                return RunRefusedError(self._refused[0])
            case Mode.ATOMIC:
                return BatchRolledBackError(result)
            case Mode.LENIENT if len(self._refused) == self._size:
                return EveryRunRefusedError(result)
            case _:
                return None


_Sent = tuple[_Intake, int, Run]
"""A run with its index in an upload."""


def _error_of(admit: Admit, size: int) -> Exception | None:
    try:
        admit(size)
    except Exception as error:  # noqa: BLE001 - whatever it is, it concerns only the client of this run
        return error
    return None
