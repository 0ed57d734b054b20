"""Queries for the list of runs, and their results."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, Final, TypeVar

import attrs

from core.model.run import EventId, Run, Status, Text, Timestamp
from core.model.summary import RunSummary

_T = TypeVar("_T")

MAX_PART_BYTES: Final = 1024 * 1024
"""The maximum number of bytes of text read at a time, unless a single run has more."""

SEARCHED_FIELDS: Final = (
    "run_id",
    "item_name",
    "input_summary",
    "output_summary",
    "error_summary",
    "error_details",
    "commit_hash",
)
"""The fields in which ``RunFilter.q`` looks for its text."""

TESTED_PARTS: Final = frozenset({"status", "job_type", "agent_name", "product", "q"})
"""The parts of a filter that are tested on one run after the other; the others say which runs to examine."""


_FOLDED: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def fold_case(text: str) -> str:
    """Return the text with its ASCII letters in lower case, in which a search compares texts."""
    return text.translate(_FOLDED)


def _status_set(value: Any) -> Any:
    """Return one status as the set of it; leave everything else as it is."""
    return frozenset({value}) if type(value) is Status else value


@attrs.frozen(kw_only=True)
class RunFilter:
    """Matches the runs that satisfy every given part. Both ends of the time range are inclusive.

    ``status`` matches any of several; one alone may be given as it is. ``roots`` asks for runs without a parent. ``q``
    is looked for in ``SEARCHED_FIELDS``; ASCII letters match in either case.
    """

    event_id: EventId | None = None
    status: frozenset[Status] | None = attrs.field(default=None, converter=_status_set)
    job_type: Text | None = None
    agent_name: Text | None = None
    run_id: Text | None = None
    parent_run_id: Text | None = None
    product: Text | None = None
    start_time_from: Timestamp | None = None
    start_time_to: Timestamp | None = None
    roots: bool = False
    q: Text | None = None


def examined_by(which: RunFilter) -> RunFilter:
    """Return the filter without ``TESTED_PARTS``: it matches the runs to examine."""
    untested: dict[str, Any] = dict.fromkeys(TESTED_PARTS)
    return attrs.evolve(which, **untested)


@attrs.frozen(order=True)
class Cursor:
    """A position in the list: the start of the run there and, among equal starts, its arrival number."""

    start_time: Timestamp
    arrival: int


@attrs.frozen(kw_only=True)
class PageRequest:
    """Which part of the list. With a cursor, the page begins right after its run; ``offset`` skips runs by counting.

    ``oldest_first`` reverses the list; its cursors lead the same way.
    ``counted`` asks for the number of all matching runs, which takes time proportional to that number.
    ``max_text_bytes`` ends the page early, before its text exceeds that many bytes of UTF-8. The first run always
    fits. ``max_examined`` ends it after examining that many runs, whether they match or not (``TESTED_PARTS``).
    ``last_examined`` says where that is, if an earlier part of the page has found it. ``max_seconds`` ends a search
    (``RunFilter.q``) soon after so long, since texts may be long.
    """

    limit: int = 100
    offset: int = 0
    cursor: Cursor | None = None
    counted: bool = True
    oldest_first: bool = False
    max_text_bytes: int = MAX_PART_BYTES
    max_examined: int | None = None
    last_examined: Cursor | None = None
    max_seconds: int | None = None


@attrs.frozen
class RunPage:
    """Some runs, newest start first, and the cursor of the next page; ``None`` on the last page.

    ``last_examined`` is the place behind which no run is examined, if the request limits that and other runs follow;
    the page may then have fewer runs than requested, or none, although there is a next page.
    """

    runs: tuple[Run, ...]
    next_cursor: Cursor | None
    total: int | None = None
    last_examined: Cursor | None = None


@attrs.frozen
class SummaryPage:
    """The same with summaries of the runs."""

    runs: tuple[RunSummary, ...]
    next_cursor: Cursor | None
    total: int | None = None
    last_examined: Cursor | None = None


@attrs.frozen
class RemovedPage:
    """The number of runs deleted, and the cursor of the next page; ``None`` after the last page."""

    runs: int
    next_cursor: Cursor | None


class NameField(StrEnum):
    """The fields whose distinct values the store tracks."""

    AGENT_NAME = "agent_name"
    JOB_TYPE = "job_type"


@attrs.frozen(kw_only=True)
class NamesRequest:
    """Which part of the sorted distinct values of a field: up to ``limit``, after skipping ``offset``.

    ``max_text_bytes`` ends the part early, as in ``PageRequest``.
    """

    limit: int = 1000
    offset: int = 0
    max_text_bytes: int = MAX_PART_BYTES


@attrs.frozen
class Names:
    """Some distinct values of a field, sorted by code point, and their total number."""

    names: tuple[str, ...]
    total: int


@attrs.frozen(kw_only=True)
class MetadataRequest:
    """Which part of the metadata: up to ``limit`` names of each field, from these offsets."""

    limit: int = 1000
    agent_names_offset: int = 0
    job_types_offset: int = 0


@attrs.frozen
class Metadata:
    """Part of the agent names and job types of all runs; ``next_part`` requests the next part."""

    agent_names: Names
    job_types: Names
    next_part: MetadataRequest | None


def take_what_fits(
    items: Iterable[_T], size_of: Callable[[_T], int], limit: int, max_bytes: int
) -> tuple[list[_T], bool]:
    """Return the first items, at most ``limit`` and ``max_bytes`` but at least one, and whether more follow.

    Nothing is consumed beyond the first item that does not fit.
    """
    taken: list[_T] = []
    room = max_bytes
    for item in items:
        room -= size_of(item)
        if len(taken) == limit or (taken and room < 0):
            return taken, True
        taken.append(item)
    return taken, False
