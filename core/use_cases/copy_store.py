"""The use case that moves a store to another engine: copy every run, then check that both stores hold the same.

The list is copied oldest first, one page per unit of work. So runs with equal starts keep their order, and an
interrupted copy can resume.

What the target has pruned does not come back: runs before its retention horizon are neither copied nor compared. The
target then gets the horizon of the source, if that is later.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import Final

import attrs

from core.model.listing import Cursor, PageRequest, RunFilter, RunPage
from core.model.run import FIELDS, Run, Timestamp
from core.ports.store import Store
from core.ports.unit_of_work import UnitOfWork
from core.use_cases.retention import reject_expired

PAGE_RUNS: Final = 1000

Write = Callable[[Callable[[UnitOfWork], object]], object]
"""Executes a command in a unit of work of the target, and returns once it is committed."""

Advance = Callable[[int], object]
"""Called with the number of runs processed since the last call."""


@attrs.frozen
class Difference:
    """The first position, oldest first, at which two stores hold different runs.

    ``None`` stands for the end of a list. ``after`` is a position in the source shortly before the difference.
    """

    after: Cursor | None
    source: Run | None
    target: Run | None

    def __str__(self) -> str:
        if self.source is None or self.target is None:
            lone, holder = (self.source, "the source") if self.source else (self.target, "the target")
            return f"only {holder} holds run {lone.event_id if lone else None!r}"
        if self.source.event_id != self.target.event_id:
            return f"the source has run {self.source.event_id!r} where the target has {self.target.event_id!r}"
        fields = [name for name in FIELDS if getattr(self.source, name) != getattr(self.target, name)]
        return f"run {self.source.event_id!r} differs in {', '.join(fields)}"


def resume_after(target: Store) -> Cursor | None:
    """Return the position after which to resume copying, provided that nothing else has written to the target."""
    with target.reader() as runs:
        newest = runs.page(RunFilter(), PageRequest(limit=1)).runs
    # Other runs with the same start may still be missing.
    return Cursor(newest[0].start_time, -1) if newest else None


def copy_runs(
    source: Store, write: Write, after: Cursor | None, advance: Advance, since: Timestamp | None = None
) -> None:
    """Add every run after this position, and not before ``since``, to the target, unless it exists there."""
    for _, page in _pages(source, since, after):
        write(_adding(page.runs))
        advance(len(page.runs))


def carry_horizon(source: Store, write: Write) -> None:
    """Raise the retention horizon of the target to that of the source, if that is later."""
    horizon = read_horizon(source)
    if horizon is not None:
        write(lambda work: work.runs.raise_retention_horizon(horizon))


def read_horizon(store: Store) -> Timestamp | None:
    """Return the retention horizon of a store."""
    with store.reader() as runs:
        return runs.retention_horizon()


def first_difference(
    source: Store, target: Store, advance: Advance, since: Timestamp | None = None
) -> Difference | None:
    """Return the first difference between two stores from ``since`` on, run by run and field by field."""
    end: tuple[Cursor | None, Run | None] = (None, None)
    ours_and_theirs = _runs(source, since, advance), _runs(target, since, lambda _: None)
    for (after, ours), (_, theirs) in zip_longest(*ours_and_theirs, fillvalue=end):
        if ours != theirs:
            return Difference(after, ours, theirs)
    return None


def _adding(runs: Sequence[Run]) -> Callable[[UnitOfWork], object]:
    def add(work: UnitOfWork) -> None:
        # The target may be pruned meanwhile.
        kept = reject_expired(runs, range(len(runs)), work)
        work.runs.add([run for run in kept if isinstance(run, Run)])

    return add


def _pages(
    store: Store, since: Timestamp | None, after: Cursor | None = None
) -> Iterator[tuple[Cursor | None, RunPage]]:
    """Yield all pages after a position, each with the cursor before it. Each is read separately, so no writer waits."""
    which = RunFilter(start_time_from=since)
    while True:
        with store.reader() as runs:
            page = runs.page(which, PageRequest(limit=PAGE_RUNS, cursor=after, oldest_first=True))
        yield after, page
        after = page.next_cursor
        if after is None:
            return


def _runs(store: Store, since: Timestamp | None, advance: Advance) -> Iterator[tuple[Cursor | None, Run]]:
    """Yield all runs, each with the cursor before its page."""
    for after, page in _pages(store, since):
        for run in page.runs:
            yield after, run
        advance(len(page.runs))
