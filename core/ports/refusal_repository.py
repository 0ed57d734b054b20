"""The port for refused runs that are kept, apart from the runs."""

from collections.abc import Sequence
from typing import Protocol

from core.model.refusal import Refusal, RefusalFilter, RefusalPage, RefusalPageRequest


class RefusalRepository(Protocol):
    """Keeps the refusals that were added last, to be read by any process that uses the same store.

    It keeps a given number of them, and at most ``MAX_KEPT_BYTES``. These bounds hold in every state that can be read,
    whichever process adds; if processes keep different numbers, the one that adds sets the bound. Adding is atomic. A
    process that is killed loses nothing that was added and damages nothing. A power cut may lose the last additions.

    Only one thread adds and closes. Any thread may read. Every method but ``close`` raises ``StoreError`` if the
    refusals cannot be read or written; the next call tries anew. No failure here affects the runs.
    """

    def add(self, refusals: Sequence[Refusal]) -> None:
        """Add refusals in this order, and remove the oldest beyond the bounds. Adding none just does the latter."""
        ...

    def page(self, which: RefusalFilter, request: RefusalPageRequest) -> RefusalPage:
        """Return the matching refusals, the last added first, exactly as they were added.

        ``next_cursor`` is ``None`` exactly when no matching refusal follows the page. A cursor keeps its place when
        refusals are added or removed.
        """
        ...

    def close(self) -> None:
        """Release all resources."""
        ...
