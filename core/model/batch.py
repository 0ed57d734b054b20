"""A batch of candidate runs, and what became of it."""

import attrs

from core.model.run import Run
from core.model.validation_error import ValidationError


@attrs.frozen
class RefusedRun:
    """A run that cannot be taken: where it stood in the batch, its ids so far as they are texts, every bad field."""

    index: int
    event_id: str | None
    run_id: str | None
    errors: tuple[ValidationError, ...]


Candidate = Run | RefusedRun
"""What the wire makes of one item of a batch."""


@attrs.frozen
class Conflict:
    """An existing run whose fixed fields differ from what was sent under its ``event_id``."""

    index: int
    event_id: str
    fields: tuple[str, ...]


@attrs.frozen
class BatchResult:
    """What became of a batch; ``total == created + existing + failed``.

    ``runs`` are the stored runs in the order they were sent, the failed ones left out. In an atomic batch that
    was rolled back every run failed, while ``refused`` names only those that caused it.
    """

    runs: tuple[Run, ...]
    total: int
    created: int
    existing: int
    failed: int
    refused: tuple[RefusedRun, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
