"""Arrival numbers: the order in which runs came, never given twice, whichever runs are deleted."""

from typing import Final, cast

import apsw

_LAST: Final = "SELECT max(coalesce((SELECT last FROM arrivals), 0), coalesce((SELECT max(arrival) FROM runs), 0))"
_KEEP: Final = "INSERT OR REPLACE INTO arrivals (id, last) VALUES (1, ?)"


class Arrivals:
    """The numbers that one unit of work gives. They are read once and kept once, however many runs it adds."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.last: int | None = None
        """The last number that was given; ``None`` until the first is."""

    def take(self, count: int) -> int:
        """Return the first of so many numbers in a row."""
        if self.last is None:
            ((self.last,),) = cast(list[tuple[int]], self._connection.execute(_LAST).fetchall())
        first = self.last + 1
        self.last += count
        return first

    def keep(self) -> None:
        """Store what was given, so that none is given again; before the commit."""
        if self.last is not None:
            self._connection.execute(_KEEP, (self.last,))
