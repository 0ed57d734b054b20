"""The use case that stores a batch of reports: a run that is reported as ended amends the one that is still running.

Some clients report a run twice, when it starts and when it ends. The second report is the whole one, so it takes the
place of the first. Nothing else changes a stored run: it does not matter in which order, how often and in which batches
the reports of a run arrive.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Final, NamedTuple

import attrs

from core.model.batch import BatchResult, Candidate, Conflict, RefusedRun
from core.model.run import FIELDS, Commit, EventId, Run, Status, differing_client_fields, differing_fixed_fields
from core.ports.unit_of_work import UnitOfWork
from core.use_cases.retention import reject_expired

_CREATED_AT: Final = FIELDS.index("created_at")
_COMMIT: Final = tuple(FIELDS.index(field.name) for field in attrs.fields(Commit))

_values_of = attrgetter(*FIELDS)


def ingest_amending(batch: Sequence[Candidate], indices: Sequence[int], work: UnitOfWork) -> BatchResult:
    """Store every valid run and name every invalid one; the result holds no runs.

    A run with a new ``event_id`` is created. One that has ended replaces a stored one that is still running, except
    for ``created_at``; it counts as existing and as amended. Any other leaves the stored one as it is. Unless the two
    are equal, this is a conflict, which names every field that differs, or only the immutable ones if the stored run
    was changed since it was created. The result is the same as if each run came in a batch of its own.

    ``indices`` are what runs that are rejected here have for their index, one for each candidate.
    """
    batch = reject_expired(batch, indices, work)
    reports = _Reports(batch)
    work.runs.add(reports.new_runs(), reports.note_existing)
    if reports.keys_to_amend:
        work.runs.amend(reports.keys_to_amend, reports.amend)
    reports.note_created()
    refused = tuple(candidate for candidate in batch if isinstance(candidate, RefusedRun))
    return BatchResult(
        runs=(),
        total=len(batch),
        created=reports.created,
        existing=len(batch) - len(refused) - reports.created,
        failed=len(refused),
        refused=refused,
        conflicts=tuple(sorted(reports.conflicts, key=attrgetter("index"))),
        amended=reports.amended,
    )


class _Reports:
    """The valid runs of a batch, and what became of them."""

    def __init__(self, batch: Sequence[Candidate]) -> None:
        self._groups: dict[EventId, list[tuple[int, Run]]] = {}
        for index, run in enumerate(batch):
            if isinstance(run, Run):
                self._groups.setdefault(run.event_id, []).append((index, run))
        self._new = set(self._groups)
        self.keys_to_amend: list[EventId] = []
        self.amended = 0
        self.conflicts: list[Conflict] = []

    @property
    def created(self) -> int:
        """The number of new runs, once all existing ones are noted."""
        return len(self._new)

    def new_runs(self) -> list[Run]:
        """Return what is stored of each ``event_id`` if it is new."""
        return [_fold(group[0][1], group[1:]).run if len(group) > 1 else group[0][1] for group in self._groups.values()]

    def note_created(self) -> None:
        """Note what the reports of new runs say of each other."""
        for key in self._new:
            (_, first), *repeated = self._groups[key]
            if repeated:
                self._note(_fold(first, repeated))

    def note_existing(self, stored: Run) -> None:
        """Note a run that already exists, which is possibly to be amended."""
        self._new.remove(stored.event_id)
        reports = self._groups[stored.event_id]
        if any(_amends(report, stored) for _, report in reports):
            # Another writer may change the run before it is amended, so the reports are applied then.
            self.keys_to_amend.append(stored.event_id)
        else:
            self._note(_fold(stored, reports))

    def amend(self, stored: Run) -> Run | None:
        """Return what the stored run becomes; ``None`` if it stays."""
        outcome = _fold(stored, self._groups[stored.event_id])
        self._note(outcome)
        return outcome.run if outcome.amended else None

    def _note(self, outcome: "_Outcome") -> None:
        self.amended += outcome.amended
        self.conflicts += outcome.conflicts


class _Outcome(NamedTuple):
    """What a run becomes; ``amended`` is the number of reports that changed it."""

    run: Run
    amended: int
    conflicts: Sequence[Conflict]


def _fold(run: Run, reports: Sequence[tuple[int, Run]]) -> _Outcome:
    """Apply reports, given with their indices, to a run that exists, one after the other."""
    amended, conflicts = 0, []
    for index, report in reports:
        if _amends(report, run):
            run, amended = _replaced(run, report), amended + 1
        elif fields := _differing_fields(report, run):
            conflicts.append(Conflict(index, report.event_id, fields))
    return _Outcome(run, amended, conflicts)


def _amends(sent: Run, stored: Run) -> bool:
    return stored.status is Status.RUNNING and sent.status is not Status.RUNNING


def _replaced(stored: Run, ended: Run) -> Run:
    """Return the ended run in place of the stored one.

    A commit that was associated since the stored one was created has a source. It yields only to one with a source.
    """
    kept = [_CREATED_AT]
    if _was_changed(stored) and stored.commit_source is not None and ended.commit_source is None:
        kept += _COMMIT
    # Not by attrs.evolve, which takes four times as long.
    values, before = list(_values_of(ended)), _values_of(stored)
    for position in kept:
        values[position] = before[position]
    return Run(*values)


def _differing_fields(sent: Run, stored: Run) -> tuple[str, ...]:
    # Once a run was changed, its other fields are no longer those that its client reported.
    return (differing_fixed_fields if _was_changed(stored) else differing_client_fields)(sent, stored)


def _was_changed(stored: Run) -> bool:
    return stored.updated_at != stored.created_at
