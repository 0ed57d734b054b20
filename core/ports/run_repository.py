"""The port to the kept runs: reading them, and adding and replacing them inside a unit of work."""

from collections.abc import Callable, Sequence
from typing import Protocol

from core.model.listing import NameField, Names, NamesRequest, PageRequest, RunFilter, RunPage
from core.model.run import EventId, Run


def ignore(_run: Run) -> None:
    """Take no notice of a run that was kept before."""


class RunReader(Protocol):
    """Reads one consistent state of the store.

    Used by one thread at a time. Every method raises ``StoreError`` when the store fails.
    What is read equals what was added or replaced, field by field.
    """

    def get(self, event_id: EventId) -> Run | None:
        """The run with this key."""
        ...

    def newest(self, run_id: str) -> Run | None:
        """Of the runs with this name the one that started last; of equal starts the one that arrived last."""
        ...

    def page(self, which: RunFilter, request: PageRequest) -> RunPage:
        """The matching runs, newest start first, of equal starts the last arrived first; ``total`` is left out.

        With ``oldest_first`` it is exactly the other way round. The page ends early at ``max_text_bytes``, and no
        more than that and one run is in memory at a time.
        ``next_cursor`` is ``None`` exactly when no matching run follows the page.
        """
        ...

    def count(self, which: RunFilter) -> int:
        """How many runs match."""
        ...

    def names(self, field: NameField, request: NamesRequest) -> Names:
        """A part of the distinct values that the field has in all runs, sorted by code point."""
        ...


class RunRepository(RunReader, Protocol):
    """A reader that also writes, inside the unit of work it belongs to, and sees what that has written so far.

    Nobody else changes a run that ``get`` has returned until the unit of work is left, so that it may be replaced by
    what was made of it.
    """

    def add(self, runs: Sequence[Run], found: Callable[[Run], object] = ignore) -> None:
        """Keep every run whose ``event_id`` is not kept yet, and hand each run that was kept before to ``found``.

        The keys of ``runs`` are distinct. Whether a run is new is decided together with keeping it, so that of
        two units of work that race for one key exactly one finds it new. One call costs a number of statements
        that does not depend on how many runs there are.

        What was kept before is handed over once each, in any order and by and by: no more of it is in memory at a
        time than ``MAX_PART_BYTES`` of text and one run. What ``found`` raises goes on to the caller, and then
        nothing of ``runs`` may be relied on until the unit of work is undone.
        """
        ...

    def replace(self, run: Run) -> None:
        """Put this run in place of the kept one with its ``event_id``, which must be there.

        The two differ in no fixed field (``core.model.run.FIXED_FIELDS``) and not in ``created_at``.
        """
        ...
