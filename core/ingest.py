"""The batch-ingest use cases: lenient, atomic, and a single run.

Each works inside a unit of work that its caller has entered and will commit, so that several batches can share one
commit. Nothing is acknowledged before that commit.
"""

from collections.abc import Mapping, Sequence

from core.batch import BatchResult, Candidate, Conflict, RefusedRun
from core.errors import BatchRolledBackError, EveryRunRefusedError, RunRefusedError
from core.ports.unit_of_work import UnitOfWork
from core.run import EventId, Run, differing_fixed_fields


def ingest_lenient(batch: Sequence[Candidate], work: UnitOfWork) -> BatchResult:
    """Store every good run and name every bad one.

    Raises:
        EveryRunRefusedError: no run is good.
    """
    refused = _refused(batch)
    if len(refused) == len(batch):
        raise EveryRunRefusedError(_nothing_stored(batch, refused))
    return _store(batch, refused, work)


def ingest_atomic(batch: Sequence[Candidate], work: UnitOfWork) -> BatchResult:
    """Store all runs or none.

    Raises:
        BatchRolledBackError: at least one run is bad; the error names every bad one.
    """
    refused = _refused(batch)
    if refused:
        raise BatchRolledBackError(_nothing_stored(batch, refused))
    return _store(batch, refused, work)


def create_run(candidate: Candidate, work: UnitOfWork) -> Run:
    """Store one run and return it as stored, be it new or there before.

    Raises:
        RunRefusedError: the run is bad.
    """
    if isinstance(candidate, RefusedRun):
        raise RunRefusedError(candidate)
    return _store([candidate], (), work).runs[0]


def _refused(batch: Sequence[Candidate]) -> tuple[RefusedRun, ...]:
    return tuple(candidate for candidate in batch if isinstance(candidate, RefusedRun))


def _nothing_stored(batch: Sequence[Candidate], refused: tuple[RefusedRun, ...]) -> BatchResult:
    return BatchResult(runs=(), total=len(batch), created=0, existing=0, failed=len(batch), refused=refused)


def _store(batch: Sequence[Candidate], refused: tuple[RefusedRun, ...], work: UnitOfWork) -> BatchResult:
    """The one path of both modes: of the good runs, the first of each ``event_id`` is new unless it is stored."""
    sent = [(index, run) for index, run in enumerate(batch) if isinstance(run, Run)]
    firsts: dict[EventId, Run] = {}
    for _, run in sent:
        firsts.setdefault(run.event_id, run)
    before = work.runs.add(list(firsts.values()))
    kept: Mapping[EventId, Run] = {**firsts, **before}
    created = len(firsts) - len(before)
    return BatchResult(
        runs=tuple(kept[run.event_id] for _, run in sent),
        total=len(batch),
        created=created,
        existing=len(sent) - created,
        failed=len(refused),
        refused=refused,
        conflicts=tuple(_conflicts(sent, kept)),
    )


def _conflicts(sent: Sequence[tuple[int, Run]], kept: Mapping[EventId, Run]) -> list[Conflict]:
    conflicts = []
    for index, run in sent:
        stored = kept[run.event_id]
        if stored is not run and (fields := differing_fixed_fields(run, stored)):
            conflicts.append(Conflict(index, run.event_id, fields))
    return conflicts
