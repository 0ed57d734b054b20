"""A stream of candidate runs of any length, a chunk of it, and what became of it so far."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import attrs

from core.model.batch import Candidate, RefusedRun
from core.model.run import count_bytes
from core.model.validation_error import ValidationError

MAX_LISTED: Final = 1000
"""So many errors, and as many conflicts, are listed; those that follow are counted."""

CHUNK_RUNS: Final = 1000

CHUNK_BYTES: Final = 1024 * 1024
"""A chunk holds at most so many runs, and so many bytes unless a single line has more."""


class StreamFormat(StrEnum):
    """How the runs of a stream are written."""

    NDJSON = "ndjson"
    JSON = "json"


@attrs.frozen
class Chunk:
    """Some lines of a stream that are decided together.

    ``lines`` has the number of the line of each candidate; blank lines have none. A candidate that was refused has it
    for its index. The chunk decides every line up to ``last_line`` that no chunk before it did.
    """

    candidates: Sequence[Candidate]
    lines: Sequence[int]
    last_line: int

    def after(self, line: int) -> "Chunk":
        """Return what the chunk holds behind a line."""
        if not self.lines or line < self.lines[0]:
            return self
        rest = [number for number in self.lines if number > line]
        return Chunk(self.candidates[len(self.lines) - len(rest) :], rest, self.last_line)


@attrs.frozen
class LineError:
    """One bad field of a run that was refused, and where the run stood."""

    line: int
    event_id: str | None
    run_id: str | None
    error: ValidationError


@attrs.frozen
class LineConflict:
    """An existing run whose fixed fields differ from what was sent, and where that stood."""

    line: int
    event_id: str
    fields: tuple[str, ...]


@attrs.frozen(kw_only=True)
class StreamResult:
    """What became of a stream up to ``last_line``; ``total == created + existing + failed``.

    ``refused`` are the refused runs of the last chunk alone. They are not part of a job that is read from a store.
    """

    total: int = 0
    created: int = 0
    existing: int = 0
    failed: int = 0
    last_line: int = 0
    errors: tuple[LineError, ...] = ()
    errors_omitted: int = 0
    conflicts: tuple[LineConflict, ...] = ()
    conflicts_omitted: int = 0
    refused: tuple[RefusedRun, ...] = attrs.field(default=(), eq=False, repr=False)


def count_found_bytes(errors: Sequence[LineError], conflicts: Sequence[LineConflict]) -> int:
    """Return the UTF-8 bytes of the texts of what was found."""
    texts = [text for error in errors for text in (error.event_id, error.run_id, error.error.field, error.error.reason)]
    texts += [text for conflict in conflicts for text in (conflict.event_id, *conflict.fields)]
    return count_bytes("".join([text for text in texts if text]))
