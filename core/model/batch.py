"""A batch of candidate runs, and what became of it."""

from enum import StrEnum

import attrs

from core.errors import BatchTooLargeError, NotABatchError, ResponseTooLargeError
from core.model.run import Run
from core.validation.fields import (
    MAX_EVENT_ID_LENGTH,
    MAX_JSON_CHARACTERS,
    MAX_JSON_DEPTH,
    MAX_JSON_INTEGER_DIGITS,
    MAX_TEXT_CHARACTERS,
)


class FaultKind(StrEnum):
    """Why a field was refused, for programs."""

    MISSING = "missing"
    INVALID = "value_error"


@attrs.frozen
class Fault:
    """One field that breaks its rule, or a whole that is no object at all: then ``field`` is ``None``.

    ``reason`` completes the sentence that starts with the field's name.
    """

    field: str | None
    reason: str
    kind: FaultKind = FaultKind.INVALID

    def __str__(self) -> str:
        name = "it" if self.field is None else self.field or "''"
        return f"{name} {self.reason}"


@attrs.frozen
class RefusedRun:
    """A run that cannot be taken: where it stood in the batch, its ids so far as they are texts, every bad field."""

    index: int
    event_id: str | None
    run_id: str | None
    faults: tuple[Fault, ...]


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


@attrs.frozen
class Limits:
    """The limits in force. Every error that comes of one says its name, but the batch's, whose words are given.

    A body and a run are measured as they are sent, a body once it is decompressed as well. The values of its JSON are
    counted in bodies of more than 1 MiB; an empty object or list counts as two, since the limit is there for what
    decoding costs. A member is one gzip member or zstd frame. The characters of a JSON field are those of its kept
    form. The bytes of a response are those of the texts of its runs; a page of the list has no such limit over HTTP,
    where it is sent in parts.
    """

    max_batch_runs: int = 1000
    max_body_bytes: int = 16 * 1024 * 1024
    max_body_members: int = 10_000
    max_body_values: int = 250_000
    max_run_bytes: int = 2 * 1024 * 1024
    max_page_runs: int = 1000
    max_response_bytes: int = 32 * 1024 * 1024
    max_metadata_names: int = 1000
    max_read_seconds: int = 10
    max_event_id_length: int = MAX_EVENT_ID_LENGTH
    max_text_characters: int = MAX_TEXT_CHARACTERS
    max_json_characters: int = MAX_JSON_CHARACTERS
    max_json_depth: int = MAX_JSON_DEPTH
    max_json_integer_digits: int = MAX_JSON_INTEGER_DIGITS

    def check_batch_size(self, size: int) -> None:
        """Raise ``NotABatchError`` or ``BatchTooLargeError`` unless a batch of so many runs may be taken."""
        if size < 1:
            raise NotABatchError(("body", "runs"), "runs must hold at least 1 run")
        if size > self.max_batch_runs:
            raise BatchTooLargeError(size, self.max_batch_runs)

    def check_response_size(self, size: int) -> None:
        """Raise ``ResponseTooLargeError`` unless stored runs of so many bytes of text may go into one response."""
        if size > self.max_response_bytes:
            raise ResponseTooLargeError(self.max_response_bytes)
