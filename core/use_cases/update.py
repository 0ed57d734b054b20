"""The use cases that change a stored run: update it, or associate a commit."""

import attrs

from core.errors import RunNotFoundError
from core.model.run import Commit, EventId, Run, RunChanges, Timestamp
from core.ports.unit_of_work import UnitOfWork
from core.validation.keys import require_key


def update_run(event_id: str, changes: RunChanges, now: Timestamp, work: UnitOfWork) -> Run:
    """Apply the changes and return the run; without changes, return it untouched.

    Raises:
        RunNotFoundError: no run has this ``event_id``.
    """
    run = _find(event_id, work)
    return _replace(attrs.evolve(run, **changes), now, work) if changes else run


def associate_commit(event_id: str, commit: Commit, now: Timestamp, work: UnitOfWork) -> Run:
    """Associate a commit with the run, replacing any earlier one, and return the run.

    Raises:
        RunNotFoundError: no run has this ``event_id``.
    """
    run = _find(event_id, work)
    return _replace(attrs.evolve(run, **attrs.asdict(commit)), now, work)


def _find(event_id: str, work: UnitOfWork) -> Run:
    run = work.runs.get(EventId(require_key(event_id)))
    if run is None:
        raise RunNotFoundError(event_id)
    return run


def _replace(run: Run, now: Timestamp, work: UnitOfWork) -> Run:
    changed = attrs.evolve(run, updated_at=now)
    work.runs.replace(changed)
    return changed
