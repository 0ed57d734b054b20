"""The use cases that read: one run, a page of runs, the names in use."""

import attrs

from core.batch import Fault, Limits
from core.errors import InvalidQueryError, RunNotFoundError
from core.listing import Metadata, PageRequest, RunFilter, RunPage
from core.ports.repository import RunReader
from core.run import Run, count_characters

SLICE_RUNS = 100
"""How many runs of a page are read at a time; more than that takes a page with a limit above the default."""


def get_run(run_id: str, runs: RunReader) -> Run:
    """The newest run of this name.

    Raises:
        RunNotFoundError: no run has this ``run_id``.
    """
    run = runs.newest(run_id)
    if run is None:
        raise RunNotFoundError(run_id)
    return run


def list_runs(which: RunFilter, request: PageRequest, limits: Limits, runs: RunReader) -> RunPage:
    """One page of the matching runs, with their number when it was asked for.

    Raises:
        InvalidQueryError: the runs of the page are too large together.
    """
    page = _page(which, request, limits, runs)
    return attrs.evolve(page, total=runs.count(which)) if request.counted else page


def _page(which: RunFilter, request: PageRequest, limits: Limits, runs: RunReader) -> RunPage:
    """The page, read by and by, so that it is never all in memory when it turns out to be too large."""
    found: list[Run] = []
    room = limits.max_answer_characters
    rest = request
    while True:
        page = runs.page(which, attrs.evolve(rest, limit=min(SLICE_RUNS, request.limit - len(found))))
        found += page.runs
        room -= sum(map(count_characters, page.runs))
        if room < 0:
            most = limits.max_answer_characters
            raise InvalidQueryError(
                (
                    Fault(
                        "limit",
                        f"is too high: so many of these runs have over {most} characters (max_answer_characters)",
                    ),
                )
            )
        if page.next_cursor is None or len(found) == request.limit:
            return RunPage(tuple(found), page.next_cursor)
        rest = attrs.evolve(request, cursor=page.next_cursor, offset=0)


def read_metadata(runs: RunReader) -> Metadata:
    """The distinct agent names and job types."""
    return runs.metadata()
