"""Arrival numbers: the order in which runs arrived. None is used twice, even if runs are deleted."""

from typing import Final, cast

import apsw

_LAST: Final = "SELECT max(coalesce((SELECT last FROM arrivals), 0), coalesce((SELECT max(arrival) FROM runs), 0))"
_KEEP: Final = "INSERT OR REPLACE INTO arrivals (id, last) VALUES (1, ?)"


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
        """Store the last number, so that none is reused. Call it before the commit."""
        if self.last is not None:
            self._connection.execute(_KEEP, (self.last,))
