"""What one asks of the list of runs, and what comes back."""

import attrs

from core.run import EventId, Run, Status, Text, Timestamp


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
    """

    limit: int = 100
    offset: int = 0
    cursor: Cursor | None = None
    counted: bool = True
    oldest_first: bool = False


@attrs.frozen
class RunPage:
    """Some runs, newest start first, and where the next page begins; ``None`` when this is the last."""

    runs: tuple[Run, ...]
    next_cursor: Cursor | None
    total: int | None = None


@attrs.frozen
class Metadata:
    """The distinct agent names and job types of all runs, sorted by code point."""

    agent_names: tuple[str, ...]
    job_types: tuple[str, ...]
