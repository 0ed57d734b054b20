"""The use cases that change a stored run: update it, or associate a commit."""

import attrs

from core.errors import RunNotFoundError
from core.model.run import Commit, EventId, Run, RunChanges, Timestamp, count_text_bytes
from core.ports.unit_of_work import UnitOfWork
from core.use_cases.ingest import Admit
from core.validation.keys import require_key


def update_run(event_id: str, changes: RunChanges, now: Timestamp, work: UnitOfWork, admit: Admit | None = None) -> Run:
    """Apply the changes and return the run; with no changes it comes back untouched.

    ``admit`` is asked whether the run may be returned before the change is kept.

    Raises:
        RunNotFoundError: no run has this ``event_id``.
    """
    run = _find(event_id, work)
    if changes:
        run = attrs.evolve(run, **changes, updated_at=now)
    _admit(run, admit)
    if changes:
        work.runs.replace(run)
    return run


def associate_commit(
    event_id: str, commit: Commit, now: Timestamp, work: UnitOfWork, admit: Admit | None = None
) -> Run:
    """Tie a commit to the run, in place of any earlier one, and return the run.

    ``admit`` is asked whether the run may be returned before the commit is kept.

    Raises:
        RunNotFoundError: no run has this ``event_id``.
    """
    run = attrs.evolve(_find(event_id, work), **attrs.asdict(commit), updated_at=now)
    _admit(run, admit)
    work.runs.replace(run)
    return run


def _find(event_id: str, work: UnitOfWork) -> Run:
    run = work.runs.get(EventId(require_key(event_id)))
    if run is None:
        raise RunNotFoundError(event_id)
    return run


def _admit(run: Run, admit: Admit | None) -> None:
    if admit is not None:
        admit(count_text_bytes(run))
