"""What a page examines, in slices if it is that of a search, so that it ends in time however long the texts are."""

import time
from collections.abc import Callable, Iterator
from typing import Final

import attrs

from core.model.listing import Cursor, PageRequest, RunFilter, examined_by

FIRST_SLICE: Final = 100
MAX_SLICE: Final = 1000
"""The maximum number of runs examined between two looks at the clock."""

Nth = Callable[[RunFilter, PageRequest, int], Cursor | None]
"""Returns the place of the matching run with this number, counted from 1; ``None`` if none follows it."""


class Slices:
    """The slices of a page: for each, the request that begins it, and the place of the last run to examine.

    Together they end at ``last``, if that is given. If ``max_seconds`` are over before, ``last`` is then where they
    ended.
    """

    def __init__(self, which: RunFilter, request: PageRequest, last: Cursor | None, nth: Nth) -> None:
        self.last = last
        self._which = which
        self._request = request
        self._nth = nth

    def __iter__(self) -> Iterator[tuple[PageRequest, Cursor | None]]:
        # An offset counts runs that match, so what to skip is not known before they are examined.
        if self._which.q is None or self._request.max_seconds is None or self._request.offset:
            yield self._request, self.last
        else:
            yield from self._slice(time.monotonic() + self._request.max_seconds)

    def _slice(self, deadline: float) -> Iterator[tuple[PageRequest, Cursor | None]]:
        rest, size = self._request, FIRST_SLICE
        while (end := self._end_of(rest, size)) != self.last:
            yield rest, end
            if time.monotonic() >= deadline:
                self.last = end
                return
            rest = attrs.evolve(rest, cursor=end)
            size = min(size * 2, MAX_SLICE)
        yield rest, self.last

    def _end_of(self, rest: PageRequest, size: int) -> Cursor | None:
        end = self._nth(examined_by(self._which), rest, size)
        if end is None or self.last is None:
            return end or self.last
        return min(end, self.last) if rest.oldest_first else max(end, self.last)
