"""The refusal repository on a list."""

from collections.abc import Sequence
from threading import Lock

import attrs

from core.model.listing import take_what_fits
from core.model.refusal import (
    MAX_KEPT_BYTES,
    Refusal,
    RefusalFilter,
    RefusalPage,
    RefusalPageRequest,
    count_refusal_bytes,
)
from core.ports.refusal_repository import RefusalRepository


@attrs.define
class RefusalList:
    """The refusals of a store with their numbers, oldest first; replaced as a whole when some are added."""

    numbered: list[tuple[int, Refusal]] = attrs.field(factory=list)
    last: int = 0
    lock: Lock = attrs.field(factory=Lock)


class MemoryRefusalRepository(RefusalRepository):
    """Keeps the last ``keep`` refusals of a list that it shares with the others of the same store."""

    def __init__(self, shared: RefusalList, keep: int) -> None:
        self._shared = shared
        self._keep = keep

    def add(self, refusals: Sequence[Refusal]) -> None:
        shared = self._shared
        with shared.lock:
            numbered = [*shared.numbered, *enumerate(refusals, shared.last + 1)]
            newest_first = numbered[: -self._keep - 1 : -1]
            kept, _ = take_what_fits(newest_first, _size_of, self._keep, MAX_KEPT_BYTES)
            shared.numbered, shared.last = kept[::-1], shared.last + len(refusals)

    def page(self, which: RefusalFilter, request: RefusalPageRequest) -> RefusalPage:
        before = self._shared.last + 1 if request.cursor is None else request.cursor
        matching = (
            (number, refusal)
            for number, refusal in reversed(self._shared.numbered)
            if number < before and _matches(refusal, which)
        )
        chosen, more = take_what_fits(matching, _size_of, request.limit, request.max_bytes)
        return RefusalPage(tuple(refusal for _, refusal in chosen), chosen[-1][0] if more else None)

    def close(self) -> None:
        pass


def _size_of(numbered: tuple[int, Refusal]) -> int:
    return count_refusal_bytes(numbered[1])


def _matches(refusal: Refusal, which: RefusalFilter) -> bool:
    return (which.run_id is None or refusal.run_id == which.run_id) and (
        which.field is None or which.field in {error.field for error in refusal.errors}
    )
