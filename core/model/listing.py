"""Queries for the list of runs, and their results."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final, TypeVar

import attrs

from core.model.run import EventId, Run, Status, Text, Timestamp

_T = TypeVar("_T")

MAX_PART_BYTES: Final = 1024 * 1024
"""The maximum number of bytes of text read at a time, unless a single run has more."""


@attrs.frozen(kw_only=True)
class RunFilter:
    """Matches the runs that satisfy every given part. Both ends of the time range are inclusive."""

    event_id: EventId | None = None
    status: Status | None = None
    job_type: Text | None = None
    agent_name: Text | None = None
    run_id: Text | None = None
    parent_run_id: Text | None = None
    product: Text | None = None
    start_time_from: Timestamp | None = None
    start_time_to: Timestamp | None = None


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
    fits.
    """

    limit: int = 100
    offset: int = 0
    cursor: Cursor | None = None
    counted: bool = True
    oldest_first: bool = False
    max_text_bytes: int = MAX_PART_BYTES


@attrs.frozen
class RunPage:
    """Some runs, newest start first, and the cursor of the next page; ``None`` on the last page."""

    runs: tuple[Run, ...]
    next_cursor: Cursor | None
    total: int | None = None


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
