"""Refused runs that are kept to be looked at, and queries for them."""

from typing import Final

import attrs

from core.model.listing import MAX_PART_BYTES
from core.model.run import Text, Timestamp, count_bytes
from core.model.validation_error import ValidationError

MAX_KEPT_BYTES: Final = 64 * 1024 * 1024
"""How many bytes all kept refusals may have together, as ``count_refusal_bytes`` counts."""

REFUSAL_BYTES: Final = 512
"""What each refusal counts for beside its texts; so the number of refusals is bounded as well."""


@attrs.frozen
class Refusal:
    """A run that was refused: when, its ids where they are text, its validation errors, and what was sent.

    ``body`` may hold any character but lone surrogates.
    """

    received_at: Timestamp
    event_id: str | None
    run_id: str | None
    errors: tuple[ValidationError, ...]
    body: str


@attrs.frozen(kw_only=True)
class RefusalFilter:
    """Matches the refusals that satisfy every given part; ``field`` is in one of the errors."""

    run_id: Text | None = None
    field: str | None = None


@attrs.frozen(kw_only=True)
class RefusalPageRequest:
    """Which part of the list: up to ``limit`` refusals, from right after the one at the cursor.

    ``max_bytes`` ends the page early, before its refusals exceed that many bytes. The first one always fits.
    """

    limit: int = 100
    cursor: int | None = None
    max_bytes: int = MAX_PART_BYTES


@attrs.frozen
class RefusalPage:
    """Some refusals, and the cursor of the next page; ``None`` on the last page."""

    refusals: tuple[Refusal, ...]
    next_cursor: int | None


def count_refusal_bytes(refusal: Refusal) -> int:
    """Return about how many bytes a refusal takes: those of its texts in UTF-8, and ``REFUSAL_BYTES``."""
    texts = [refusal.event_id or "", refusal.run_id or "", refusal.body]
    texts += [text for error in refusal.errors for text in (error.field or "", error.reason)]
    return REFUSAL_BYTES + sum(map(count_bytes, texts))
