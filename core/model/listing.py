"""What one asks of the list of runs, and what comes back."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final, TypeVar

import attrs

from core.model.run import EventId, Run, Status, Text, Timestamp

_T = TypeVar("_T")

MAX_PART_BYTES: Final = 1024 * 1024
"""The bytes of text that are read at a time, unless a single run has more."""


@attrs.frozen(kw_only=True)
class RunFilter:
    """Which runs: those that match every part that is given. Both ends of the time range are included."""

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
    """A place in the list: the run that stands there, by start and, among equal starts, by order of arrival."""

    start_time: Timestamp
    arrival: int


@attrs.frozen(kw_only=True)
class PageRequest:
    """Which part of the list. With a cursor the page begins right after its run; ``offset`` skips runs by counting.

    ``oldest_first`` walks the list from its other end, with cursors that lead the same way.
    ``counted`` asks for the number of all runs that match, which costs time in proportion to that number.
    ``max_text_bytes`` ends the page early: before the run that takes its texts beyond so many bytes of UTF-8, though
    never before its first.
    """

    limit: int = 100
    offset: int = 0
    cursor: Cursor | None = None
    counted: bool = True
    oldest_first: bool = False
    max_text_bytes: int = MAX_PART_BYTES


@attrs.frozen
class RunPage:
    """Some runs, newest start first, and where the next page begins; ``None`` when this is the last."""

    runs: tuple[Run, ...]
    next_cursor: Cursor | None
    total: int | None = None


class NameField(StrEnum):
    """The fields whose distinct values the store keeps."""

    AGENT_NAME = "agent_name"
    JOB_TYPE = "job_type"


@attrs.frozen(kw_only=True)
class NamesRequest:
    """Which part of the sorted distinct values of a field: up to ``limit``, after skipping ``offset``.

    ``max_text_bytes`` ends the part early, as it does a page of runs.
    """

    limit: int = 1000
    offset: int = 0
    max_text_bytes: int = MAX_PART_BYTES


@attrs.frozen
class Names:
    """Some distinct values of a field, sorted by code point, and how many there are in all."""

    names: tuple[str, ...]
    total: int


@attrs.frozen(kw_only=True)
class MetadataRequest:
    """Which part of the metadata: up to ``limit`` names of each field, from these offsets on."""

    limit: int = 1000
    agent_names_offset: int = 0
    job_types_offset: int = 0


@attrs.frozen
class Metadata:
    """A part of the agent names and job types of all runs; ``next_part`` says where the next part begins."""

    agent_names: Names
    job_types: Names
    next_part: MetadataRequest | None


def take_what_fits(
    items: Iterable[_T], size_of: Callable[[_T], int], limit: int, max_bytes: int
) -> tuple[list[_T], bool]:
    """Return the first items, and whether others follow: at most ``limit`` of them and so many bytes, but one anyway.

    No item is drawn behind the first that does not fit.
    """
    taken: list[_T] = []
    room = max_bytes
    for item in items:
        room -= size_of(item)
        if len(taken) == limit or (taken and room < 0):
            return taken, True
        taken.append(item)
    return taken, False
