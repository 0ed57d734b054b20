"""The candidates of a batch, and its result."""

import attrs

from core.model.run import Run
from core.model.validation_error import ValidationError


@attrs.frozen
class RefusedRun:
    """An invalid run: its index in the batch, its IDs where they are text, and its validation errors."""

    index: int
    event_id: str | None
    run_id: str | None
    errors: tuple[ValidationError, ...]


Candidate = Run | RefusedRun
"""What one item of a batch is decoded to."""


@attrs.frozen
class Conflict:
    """An existing run whose immutable fields differ from those sent under its ``event_id``."""

    index: int
    event_id: str
    fields: tuple[str, ...]


@attrs.frozen
class BatchResult:
    """The result of a batch; ``total == created + existing + failed``.

    ``runs`` are the stored runs in the order sent, without the failed ones. In a rolled-back atomic batch every run
    failed, but ``refused`` holds only the invalid ones.
    """

    runs: tuple[Run, ...]
    total: int
    created: int
    existing: int
    failed: int
    refused: tuple[RefusedRun, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
