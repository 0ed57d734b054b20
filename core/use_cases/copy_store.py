"""The use case that moves a store to another engine: copy every run, then see that both hold the same.

The list is walked from its oldest end, a page in a unit of work. So runs of equal start arrive in their order, and
what was broken off goes on where it stopped.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import Final

import attrs

from core.model.listing import Cursor, PageRequest, RunFilter, RunPage
from core.model.run import FIELDS, Run
from core.ports.store import Store
from core.ports.unit_of_work import UnitOfWork

PAGE_RUNS: Final = 1000

Write = Callable[[Callable[[UnitOfWork], object]], object]
"""Carries out a command in a unit of work of the target, and returns once it is committed."""

Advance = Callable[[int], object]
"""Hears of so many more runs that are done."""


@attrs.frozen
class Difference:
    """The first place in the list, oldest first, where two stores do not hold the same run.

    ``None`` stands for the end of a list. ``after`` is a place in the source not far before it.
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
    """The place after which the source has to be copied, if the target was filled by copying and nothing else."""
    with target.reader() as runs:
        newest = runs.page(RunFilter(), PageRequest(limit=1)).runs
    # Other runs of the same start may be missing yet.
    return Cursor(newest[0].start_time, -1) if newest else None


def copy_runs(source: Store, write: Write, after: Cursor | None, advance: Advance) -> None:
    """Add every run behind that place to the target, unless it is there."""
    for _, page in _pages(source, after):
        write(_adding(page.runs))
        advance(len(page.runs))


def first_difference(source: Store, target: Store, advance: Advance) -> Difference | None:
    """Compare two stores run by run and field by field."""
    end: tuple[Cursor | None, Run | None] = (None, None)
    for (after, ours), (_, theirs) in zip_longest(_runs(source, advance), _runs(target, lambda _: None), fillvalue=end):
        if ours != theirs:
            return Difference(after, ours, theirs)
    return None


def _adding(runs: Sequence[Run]) -> Callable[[UnitOfWork], object]:
    return lambda work: work.runs.add(runs)


def _pages(store: Store, after: Cursor | None = None) -> Iterator[tuple[Cursor | None, RunPage]]:
    """All pages behind a place, each with the place before it, and each read by itself: none holds up a writer."""
    while True:
        with store.reader() as runs:
            page = runs.page(RunFilter(), PageRequest(limit=PAGE_RUNS, cursor=after, oldest_first=True))
        yield after, page
        after = page.next_cursor
        if after is None:
            return


def _runs(store: Store, advance: Advance) -> Iterator[tuple[Cursor | None, Run]]:
    """All runs, each with the place before its page."""
    for after, page in _pages(store):
        for run in page.runs:
            yield after, run
        advance(len(page.runs))
