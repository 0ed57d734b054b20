"""The use case that reads all matching runs, oldest first, a page at a time."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

import attrs

from core.model.listing import Cursor, PageRequest, RunFilter, RunPage
from core.model.run import Run
from core.ports.run_repository import RunReader

PAGE_RUNS: Final = 1000

EXAMINED_RUNS: Final = 200_000
EXAMINED_SECONDS: Final = 2
"""How many runs are examined for one page, and for how long, so that each read is short even if few runs match."""

Read = Callable[[Callable[[RunReader], RunPage]], RunPage]
"""Carries out a query in one consistent state of the store, and lets go of it."""


def export_page(which: RunFilter, after: Cursor | None, runs: RunReader) -> RunPage:
    """Return the next runs behind a place: up to a thousand, or a part's bytes of them.

    A page of a search may have none although more follow.
    """
    request = PageRequest(limit=PAGE_RUNS, cursor=after, counted=False, oldest_first=True)
    if which.q is not None:
        request = attrs.evolve(request, max_examined=EXAMINED_RUNS, max_seconds=EXAMINED_SECONDS)
    return runs.page(which, request)


def export_runs(which: RunFilter, read: Read) -> Iterator[Sequence[Run]]:
    """Read all matching runs, each page by itself: none holds up a writer or a checkpoint.

    A run that is added meanwhile is among them if its place is still ahead.
    """
    after: Cursor | None = None
    while True:
        page = read(partial(export_page, which, after))
        yield page.runs
        after = page.next_cursor
        if after is None:
            return
