"""The row that each commit writes: the last arrival number, and the version of the store.

Arrival numbers are the order in which runs arrived. None is used twice, even if runs are deleted.
"""

from typing import Final, cast

import apsw

from adapters.sqlite.errors import translated_errors
from adapters.store_version import new_version
from core.model.store_version import StoreVersion

_LAST: Final = "SELECT max(coalesce((SELECT last FROM arrivals), 0), coalesce((SELECT max(arrival) FROM runs), 0))"
_KEEP: Final = (
    "INSERT OR REPLACE INTO arrivals (id, last, version) VALUES (1, coalesce(?, (SELECT last FROM arrivals), 0), ?)"
)
_EMPTY: Final = StoreVersion("")
"""Of a store that has had no commit."""


class Arrivals:
    """The numbers that one unit of work assigns. They are read once and stored once, however many runs it adds."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.last: int | None = None
        """The last number assigned; ``None`` before the first."""

    def take(self, count: int) -> int:
        """Assign ``count`` consecutive numbers; return the first."""
        if self.last is None:
            ((self.last,),) = cast(list[tuple[int]], self._connection.execute(_LAST).fetchall())
        first = self.last + 1
        self.last += count
        return first

    def keep(self) -> None:
        """Store the last number, so that none is reused, and a new version. Call it before the commit of a change."""
        self._connection.execute(_KEEP, (self.last, new_version()))


def read_version(connection: apsw.Connection) -> StoreVersion:
    """Return the version of the store as the connection sees it."""
    with translated_errors(connection):
        rows = connection.execute("SELECT version FROM arrivals").fetchall()
    return StoreVersion(str(rows[0][0])) if rows else _EMPTY
