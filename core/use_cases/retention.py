"""The use cases of retention: raise the horizon, count and delete the runs before it, and reject new ones there.

The horizon is raised before anything is deleted, in a unit of work of its own. From then on every upload rejects a run
that starts before it, so a late retry never brings a deleted run back.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from core.errors import HorizonError
from core.model.batch import Candidate, RefusedRun
from core.model.listing import Cursor, PageRequest, RemovedPage, RunFilter
from core.model.run import Run, Timestamp, shown_time
from core.model.validation_error import ValidationError
from core.ports.run_repository import RunReader
from core.ports.unit_of_work import UnitOfWork
from core.validation.fields import format_timestamp

SLICE_RUNS: Final = 500
"""The maximum number of runs deleted in one unit of work: few enough that other writers wait for some tens of ms."""

_EARLIEST: Final = Timestamp("0001-01-01T00:00:00.000000Z")


def check_horizon(horizon: Timestamp, now: Timestamp, runs: RunReader) -> None:
    """Raise ``HorizonError`` if the retention horizon may not be raised to this instant."""
    if horizon > now:
        raise HorizonError(
            f"{shown_time(horizon)} is in the future: every run up to now would be deleted; give an earlier date"
        )
    current = runs.retention_horizon()
    if current is not None and horizon < current:
        raise HorizonError(
            f"the retention horizon is {shown_time(current)} already and never goes back to {shown_time(horizon)}; "
            f"to delete what still starts before it, give {shown_time(current)} or a later date"
        )


def raise_horizon(horizon: Timestamp, now: Timestamp, work: UnitOfWork) -> None:
    """Raise the retention horizon; runs that start before it are rejected from the commit on.

    Raises:
        HorizonError: it lies in the future, or before the horizon in force.
    """
    check_horizon(horizon, now, work.runs)
    work.runs.raise_retention_horizon(horizon)


def prune_slice(after: Cursor | None, work: UnitOfWork) -> RemovedPage:
    """Delete some runs that start before the horizon, oldest first; ``after`` is where the previous slice ended."""
    horizon = work.runs.retention_horizon()
    if horizon is None or horizon == _EARLIEST:
        return RemovedPage(0, None)
    request = PageRequest(limit=SLICE_RUNS, cursor=after, oldest_first=True)
    return work.runs.remove(_before(horizon), request)


def count_before(instant: Timestamp, runs: RunReader) -> int:
    """Return the number of runs that start before an instant, which takes time proportional to it."""
    return 0 if instant == _EARLIEST else runs.count(_before(instant))


def reject_expired(batch: Sequence[Candidate], indices: Sequence[int], work: UnitOfWork) -> Sequence[Candidate]:
    """Return the batch with every run that starts before the horizon rejected.

    ``indices`` are what the rejected runs have for their index, one for each candidate.
    """
    if not any(isinstance(candidate, Run) for candidate in batch):
        return batch
    horizon = work.runs.retention_horizon()
    if horizon is None:
        return batch
    return [
        _rejected(candidate, index, horizon)
        if isinstance(candidate, Run) and candidate.start_time < horizon
        else candidate
        for candidate, index in zip(batch, indices, strict=True)
    ]


def _rejected(run: Run, index: int, horizon: Timestamp) -> RefusedRun:
    error = ValidationError("start_time", f"is before the retention horizon {shown_time(horizon)}")
    return RefusedRun(index, run.event_id, run.run_id, (error,), sent=run)


def _before(instant: Timestamp) -> RunFilter:
    """Return the filter of the runs that start before an instant; the ends of its range are inclusive."""
    return RunFilter(start_time_to=format_timestamp(datetime.fromisoformat(instant) - timedelta(microseconds=1)))
