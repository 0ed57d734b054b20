"""How large a store is."""

from collections.abc import Mapping

import attrs

from core.model.job import JobState


@attrs.frozen(kw_only=True)
class StoreFigures:
    """The size of a store. ``None`` stands for what does not exist there or cannot be told.

    ``database_bytes`` are those of the data itself, ``wal_bytes`` those of the write-ahead log beside it, and
    ``free_bytes`` what the disk can still take. ``oldest_transaction_seconds`` is the age of the oldest transaction
    that anybody has open in the database. ``jobs`` has every state.
    """

    jobs: Mapping[JobState, int]
    database_bytes: int | None = None
    wal_bytes: int | None = None
    free_bytes: int | None = None
    oldest_transaction_seconds: float | None = None
