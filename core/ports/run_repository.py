"""The port for stored runs: reading them, and adding and replacing them inside a unit of work."""

from collections.abc import Callable, Sequence
from typing import Protocol

from core.model.listing import (
    NameField,
    Names,
    NamesRequest,
    PageRequest,
    RemovedPage,
    RunFilter,
    RunPage,
    SummaryPage,
)
from core.model.run import EventId, Run, Timestamp
from core.model.statistics import Facets, FacetsRequest, Statistics, StatisticsRequest
from core.model.summary import RunSummary
from core.model.tree import Children, Room, RunOutline
from core.ports.snapshot import Snapshot


def ignore(_run: Run) -> None:
    """Ignore a run that already exists."""


class RunReader(Snapshot, Protocol):
    """Reads one consistent snapshot of the store.

    Use it from one thread at a time. Every method raises ``StoreError`` if the store fails.
    Runs are returned exactly as they were added or replaced, field by field.
    """

    def get(self, event_id: EventId) -> Run | None:
        """Return the run with this key."""
        ...

    def newest(self, run_id: str) -> Run | None:
        """Return the run with this name that started last; among equal starts, the one that arrived last."""
        ...

    def page(self, which: RunFilter, request: PageRequest) -> RunPage:
        """Return the matching runs, without ``total``: newest start first and, among equal starts, last arrival first.

        ``oldest_first`` reverses this order. The page ends early at ``max_text_bytes``; no more text than that, plus
        one run, is in memory at a time. ``next_cursor`` is ``None`` exactly when no matching run follows the page.

        With ``max_examined``, the page also ends after that many of the runs that match the filter apart from
        ``TESTED_PARTS``, counted from its beginning; the cursor then leads behind the last one, and is ``None`` exactly
        when no such run follows. Of the other runs, only those with the filter's ``event_id`` or ``run_id`` count.
        ``last_examined`` is the place of that last one, even if the page ends before it. A request for the rest of the
        page has it instead of ``max_examined``, and ends there in the same way, without counting anew.

        With ``max_seconds``, a search may end after fewer runs, but not before any: behind the run that was examined
        last, which is then ``last_examined``.
        """
        ...

    def summaries(self, which: RunFilter, request: PageRequest) -> SummaryPage:
        """Return the same page with summaries, which are measured by ``count_summary_bytes``."""
        ...

    def children(self, parents: Sequence[str], room: Room) -> Children[RunSummary]:
        """Return the runs whose ``parent_run_id`` is one of these distinct names.

        They come in the order of the names; those of one name by start and, among equal starts, by arrival. They end
        before the first one for which there is no room, measured by ``count_summary_bytes``; there may be none.
        """
        ...

    def outlines(self, parents: Sequence[str], room: Room) -> Children[RunOutline]:
        """Return what a rollup needs to know of the same runs, measured by ``count_outline_bytes``."""
        ...

    def statistics(self, which: RunFilter, request: StatisticsRequest) -> Statistics:
        """Return figures of the matching runs by the time of their start.

        The newest ``max_runs`` of the runs that match the filter apart from ``TESTED_PARTS`` are examined. Sums of
        metrics may differ in the last digits between stores.
        """
        ...

    def facets(self, which: RunFilter, request: FacetsRequest) -> Facets:
        """Return the most frequent values of these fields among the matching runs, examined as for ``statistics``.

        Values over ``MAX_FACET_BYTES`` are not counted, nor are they ever in memory.
        """
        ...

    def count(self, which: RunFilter) -> int:
        """Return the number of matching runs."""
        ...

    def names(self, field: NameField, request: NamesRequest) -> Names:
        """Return part of the distinct values of the field in all runs, sorted by code point."""
        ...

    def retention_horizon(self) -> Timestamp | None:
        """Return the instant before which no run may start; ``None`` if it was never raised."""
        ...


class RunRepository(RunReader, Protocol):
    """A reader that also writes. It belongs to a unit of work and sees what that has written so far.

    No other writer can change a run returned by ``get`` until the unit of work ends, so it is safe to modify and
    replace it.
    """

    def add(self, runs: Sequence[Run], found: Callable[[Run], object] = ignore) -> None:
        """Store every run whose ``event_id`` is new, and pass each run that already exists to ``found``.

        The keys of ``runs`` are distinct. Looking up a key and storing its run are one atomic step: if two units of
        work race for a key, exactly one of them stores its run. The number of statements does not depend on the
        number of runs.

        Each existing run is passed once, in any order, while reading: at most ``MAX_PART_BYTES`` of text and one run
        are in memory at a time. Exceptions from ``found`` propagate. It is then undefined which ``runs`` were added,
        until the unit of work is rolled back.
        """
        ...

    def replace(self, run: Run) -> None:
        """Replace the stored run with the same ``event_id``, which must exist.

        The two differ neither in an immutable field (``core.model.run.FIXED_FIELDS``) nor in ``created_at``.
        """
        ...

    def amend(self, keys: Sequence[EventId], change: Callable[[Run], Run | None]) -> None:
        """Pass the stored runs with these distinct keys, which must exist, to ``change``; store what it returns.

        The run that it returns takes the place of the stored one and may differ in any field but ``event_id``; it keeps
        the order of arrival. With ``None`` the stored one stays. No other writer can change a run from when it is
        passed until the unit of work ends. A store from which one was deleted since ``add`` found it raises
        ``TransactionConflictError``. The number of statements grows with the texts, not with the number of runs.

        The runs are passed in any order, while reading: at most ``MAX_PART_BYTES`` of stored text and one run are in
        memory at a time. Exceptions from ``change`` propagate. It is then undefined which runs were changed, until the
        unit of work is rolled back.
        """
        ...

    def retention_horizon(self) -> Timestamp | None:
        """See the reader. No other unit of work raises the horizon between this call and the end of this one.

        A store that cannot keep them apart raises ``TransactionConflictError`` instead, from ``add`` at the latest.
        """
        ...

    def raise_retention_horizon(self, horizon: Timestamp) -> None:
        """Raise the horizon to this instant, unless it is as late already. It never falls."""
        ...

    def remove(self, which: RunFilter, request: PageRequest) -> RemovedPage:
        """Delete the runs that ``page`` would return, and say how many were deleted and where the next page begins.

        Nothing that was derived from a deleted run remains: its key is unknown, and names, counts and pages are as if
        it had never been added. Its arrival number is not used again.
        """
        ...
