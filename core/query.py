"""The use cases that read: one run, a page of runs, the names in use."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from core.batch import Fault, Limits
from core.errors import InvalidQueryError, RunNotFoundError
from core.listing import Cursor, Metadata, PageRequest, RunFilter, RunPage
from core.lookup import require_key
from core.ports.repository import RunReader
from core.rules import MAX_COUNT, FieldError, describe, parse_timestamp, plain
from core.run import Run, count_characters

SLICE_RUNS = 100
"""How many runs of a page are read at a time; more than that takes a page with a limit above the default."""

OFFSET_BESIDE_CURSOR: Final = Fault("offset", "cannot be combined with a cursor; leave one of them out")


def page_request(parts: Mapping[str, object], limits: Limits) -> PageRequest:
    """Return the request that has these parts; the others are as they are by default.

    Raises:
        InvalidQueryError: some of them break their rules; each is named.
    """
    rules = _request_rules(limits)
    kept: dict[str, Any] = {}
    faults = []
    for name, value in parts.items():
        try:
            kept[name] = rules[name](value)
        except FieldError as error:
            faults.append(Fault(name, str(error)))
    if kept.get("cursor") is not None and kept.get("offset"):
        faults.append(OFFSET_BESIDE_CURSOR)
    if faults:
        raise InvalidQueryError(tuple(faults))
    return PageRequest(**kept)


def _request_rules(limits: Limits) -> Mapping[str, Callable[[object], object]]:
    return {
        "limit": lambda value: _number(value, 1, limits.max_page_runs),
        "offset": lambda value: _number(value, 0, MAX_COUNT),
        "cursor": _cursor,
        "counted": _choice,
        "oldest_first": _choice,
    }


def _number(value: object, low: int, high: int) -> int:
    number = plain(value)
    if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
        raise FieldError(f"must be an integer from {low} to {high}, not {describe(number)}")
    return number


def _choice(value: object) -> bool:
    if not isinstance(value, bool):
        raise FieldError(f"must be True or False, not {describe(value)}")
    return value


def _cursor(value: object) -> Cursor | None:
    if value is None:
        return None
    try:
        if isinstance(value, Cursor):
            return Cursor(parse_timestamp(plain(value.start_time)), _number(value.arrival, 0, MAX_COUNT))
    except FieldError:
        pass
    raise FieldError("is not a next_cursor that this API gave")


def get_run(run_id: str, runs: RunReader) -> Run:
    """The newest run of this name.

    Raises:
        RunNotFoundError: no run has this ``run_id``.
    """
    run = runs.newest(require_key(run_id))
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
