"""The candidates of a batch, and its result."""

from typing import Final, Self

import attrs

from core.model.run import Run
from core.model.validation_error import ValidationError

MAX_SENT_BYTES: Final = 64 * 1024
"""How much of a refused run is kept as it was sent."""


@attrs.frozen
class Sent:
    """The beginning of a run as it was sent, and the size of the whole in bytes."""

    beginning: bytes
    size: int

    @classmethod
    def of(cls, whole: bytes) -> Self:
        """Keep the first ``MAX_SENT_BYTES`` of a run, without cutting a character of UTF-8."""
        return cls(_cut(whole), len(whole))

    @property
    def text(self) -> str:
        r"""The text, with bytes that are not UTF-8 as ``\xff``.

        One that is not complete ends with ``…`` and the number of bytes that are left out, so exactly such texts have
        more than ``MAX_SENT_BYTES`` in UTF-8.
        """
        readable = self.beginning.decode("utf-8", "backslashreplace").encode()
        shown = _cut(readable)
        omitted = self.size - len(self.beginning) + len(readable) - len(shown)
        return f"{shown.decode()}… ({omitted} more bytes)" if omitted else shown.decode()


@attrs.frozen
class RefusedRun:
    """An invalid run: its index in the batch, its IDs where they are text, and its validation errors.

    ``sent`` is what was sent, or the run that it was decoded to; ``None`` unless refused runs are kept.
    """

    index: int
    event_id: str | None
    run_id: str | None
    errors: tuple[ValidationError, ...]
    sent: Sent | Run | None = attrs.field(default=None, eq=False, repr=False)


Candidate = Run | RefusedRun
"""What one item of a batch is decoded to."""


@attrs.frozen
class Conflict:
    """An existing run whose fields differ from those sent under its ``event_id``.

    Only immutable fields are compared, unless the ingest amends runs.
    """

    index: int
    event_id: str
    fields: tuple[str, ...]


@attrs.frozen
class BatchResult:
    """The result of a batch; ``total == created + existing + failed``.

    ``runs`` are the stored runs in the order sent, without the failed ones. In a rolled-back atomic batch every run
    failed, but ``refused`` holds only the invalid ones. ``amended`` of the existing runs were amended.
    """

    runs: tuple[Run, ...]
    total: int
    created: int
    existing: int
    failed: int
    refused: tuple[RefusedRun, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    amended: int = 0


def _cut(text: bytes) -> bytes:
    """Return the first ``MAX_SENT_BYTES`` bytes, or up to three less where a character would be cut."""
    end = MAX_SENT_BYTES
    if len(text) <= end:
        return text
    while end > MAX_SENT_BYTES - 3 and text[end] & 0xC0 == 0x80:
        end -= 1
    return text[:end]
