"""Decoding JSON bodies to batches and single runs.

A valid run is decoded, checked and typed in one pass by msgspec. Anything that this fast pass rejects is decoded again
by the standard library and validated by ``structure``, which alone reports errors. So the fast pass must never accept
more than the slow one, and must return the same run if it accepts.
"""

import codecs
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any, Final

import attrs
import msgspec

from adapters.wire.canonical import canonical_object
from adapters.wire.json_text import NotJsonError, NotUtf8Error, decode_json, encode_json
from adapters.wire.structure import Structurer, kind_of
from adapters.wire.value_count import UNCOUNTED_BYTES, holds_more_values
from core.errors import NotABatchError, StreamTooLargeError
from core.model.batch import Candidate, RefusedRun, Sent
from core.model.limits import MAX_COUNT, MAX_EVENT_ID_LENGTH, MAX_TEXT_CHARACTERS, Limits
from core.model.run import SERVER_FIELDS, Count, EventId, JsonText, Name, Run, Text, Timestamp
from core.model.validation_error import ValidationError
from core.use_cases.ingest import check_batch_size
from core.validation.fields import (
    InvalidValueError,
    parse_commit_hash,
    parse_commit_source,
    parse_status,
    parse_timestamp,
)

_CHUNK_BYTES: Final = 65_536

MAX_ELEMENTS: Final = 1_000_000
"""An array with more values than this is not even looked into: to remember where each is takes 64 bytes."""

_TOO_MANY_VALUES: Final = (
    "the body holds more than {} JSON values; send it as newline-delimited JSON (application/x-ndjson), "
    "of which only a part is in memory at a time"
)


class _Batch(msgspec.Struct):
    """A batch whose runs are not decoded yet.

    Decoded one by one, a run is still in the processor's cache when it is checked. This is faster than decoding all of
    them in one call.
    """

    runs: list[msgspec.Raw]


@attrs.frozen
class Element:
    """A run in an array: its number of bytes, where that is known, and how it becomes a candidate."""

    size: int
    decode: Callable[[int, Timestamp], Candidate]


class Decoder:
    """Decodes bodies. Thread-safe.

    With ``keeps_sent`` every refused candidate has what was sent. Where the whole body takes the slow pass, that is
    written anew from the values, so its whitespace may differ.
    """

    def __init__(self, structurer: Structurer, limits: Limits, *, keeps_sent: bool = False) -> None:
        self._structurer = structurer
        self._limits = limits
        self._keeps_sent = keeps_sent
        self._arrays = msgspec.json.Decoder(list[msgspec.Raw])
        self._batches = msgspec.json.Decoder(_Batch)
        self._runs = msgspec.json.Decoder(_shape())

    def batch(self, body: bytes, received_at: Timestamp) -> list[Candidate]:
        """Return the candidates of a batch, in order.

        Raises:
            NotJsonError, NotABatchError, BatchTooLargeError
        """
        try:
            _check_utf8(body)
            raws = self._batches.decode(body).runs
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._batch_slowly(body, received_at)
        check_batch_size(len(raws), self._limits.max_batch_runs)
        return [self._run(bytes(raw), index, received_at) for index, raw in enumerate(raws)]

    def run(self, body: bytes, received_at: Timestamp) -> Candidate:
        """Return the candidate of a body that is one run; raise ``NotJsonError``."""
        return self._run(body, 0, received_at)

    def line(self, raw: bytes, number: int, received_at: Timestamp) -> Candidate:
        """Return the candidate of one line of a stream; its index is the line number.

        Raises:
            NotUtf8Error
        """
        if len(raw) > self._limits.max_run_bytes:
            return self.too_long(Sent.of(raw), number)
        if len(raw) > UNCOUNTED_BYTES and holds_more_values(raw, self._limits.max_body_values):
            reason = f"has more than {self._limits.max_body_values} JSON values (max_body_values)"
            return self._with_sent(_refused(number, reason), raw)
        return self._run_fast(raw, received_at) or self._line_slowly(raw, number, received_at)

    def too_long(self, sent: Sent, index: int) -> RefusedRun:
        """Return the candidate of a run with too many bytes."""
        most = self._limits.max_run_bytes
        refused = _refused(index, f"has {sent.size} bytes; the maximum is {most} (max_run_bytes)")
        return attrs.evolve(refused, sent=sent) if self._keeps_sent else refused

    def elements(self, body: bytes) -> Iterator[Element]:
        """Return the runs of an array, or of an object with an array in its field ``runs``, not decoded yet.

        Nothing of the body is decoded but where each run begins and ends, unless it takes the slow way.

        Raises:
            NotJsonError, NotABatchError, StreamTooLargeError
        """
        if body.count(b",") > MAX_ELEMENTS:
            raise StreamTooLargeError(_TOO_MANY_VALUES.format(MAX_ELEMENTS))
        try:
            _check_utf8(body)
            raws = self._arrays.decode(body) if body.lstrip()[:1] == b"[" else self._batches.decode(body).runs
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return (Element(0, partial(self._value, value)) for value in self._elements_slowly(body))
        return (Element(len(raw), partial(self.line, raw)) for raw in map(bytes, raws))

    def _elements_slowly(self, body: bytes) -> list[object]:
        if len(body) > UNCOUNTED_BYTES and holds_more_values(body, self._limits.max_body_values):
            raise StreamTooLargeError(_TOO_MANY_VALUES.format(self._limits.max_body_values))
        document = decode_json(body)
        if isinstance(document, dict):
            if "runs" not in document:
                raise NotABatchError("runs", "runs is required")
            document = document["runs"]
        if not isinstance(document, list):
            raise NotABatchError(None, "a stream must be an array of runs, or an object that has one in its field runs")
        return document

    def _line_slowly(self, raw: bytes, number: int, received_at: Timestamp) -> Candidate:
        try:
            raw.decode()
            candidate = self._structurer.run(decode_json(raw), number, received_at)
        except UnicodeDecodeError as error:
            raise NotUtf8Error(number, error) from None
        except NotJsonError as error:
            candidate = _refused(number, error.reason)
        return self._with_sent(candidate, raw)

    def _run(self, raw: bytes, index: int, received_at: Timestamp) -> Candidate:
        if len(raw) > self._limits.max_run_bytes:
            return self.too_long(Sent.of(raw), index)
        fast = self._run_fast(raw, received_at)
        return fast or self._with_sent(self._structurer.run(decode_json(raw), index, received_at), raw)

    def _value(self, value: object, index: int, received_at: Timestamp) -> Candidate:
        candidate = self._structurer.run(value, index, received_at)
        if self._keeps_sent and isinstance(candidate, RefusedRun):
            return self._with_sent(candidate, encode_json(value))
        return candidate

    def _with_sent(self, candidate: Candidate, raw: bytes) -> Candidate:
        if self._keeps_sent and isinstance(candidate, RefusedRun):
            return attrs.evolve(candidate, sent=Sent.of(raw))
        return candidate

    def _run_fast(self, raw: bytes, received_at: Timestamp) -> Run | None:
        """Return the run, or ``None`` if it needs the slow pass."""
        # An escaped NUL needs a backslash, and searching for one byte is much faster than searching for six.
        if b"\\" in raw and b"\\u0000" in raw:
            return None
        try:
            sent: Any = self._runs.decode(raw)
            _apply_rules(sent)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidValueError):
            return None
        sent.created_at = sent.updated_at = received_at
        return Run(*msgspec.structs.astuple(sent))

    def _batch_slowly(self, body: bytes, received_at: Timestamp) -> list[Candidate]:
        """Decode a batch in the slow pass. It ignores ``max_run_bytes``, but the limits of each field still apply."""
        document = decode_json(body)
        if not isinstance(document, dict):
            raise NotABatchError(None, "a batch must be a JSON object with the field runs")
        if "runs" not in document:
            raise NotABatchError("runs", "runs is required")
        runs = document["runs"]
        if not isinstance(runs, list):
            raise NotABatchError("runs", "runs must be a list of runs")
        check_batch_size(len(runs), self._limits.max_batch_runs)
        return [self._value(run, index, received_at) for index, run in enumerate(runs)]


def _check_utf8(body: bytes) -> None:
    """Raise ``UnicodeDecodeError`` if the body is not UTF-8: msgspec does not look at texts that it passes over.

    A chunk is decoded at a time, since a text may take four times as much room as its bytes.
    """
    if not body.isascii():
        chunks = (body[start : start + _CHUNK_BYTES] for start in range(0, len(body), _CHUNK_BYTES))
        deque(codecs.iterdecode(chunks, "utf-8"), maxlen=0)


def _refused(index: int, reason: str) -> RefusedRun:
    """Return a rejected candidate of which nothing else is known."""
    return RefusedRun(index, None, None, (ValidationError(None, reason),))


def _apply_rules(sent: Any) -> None:
    """Replace the values of a ``_shape`` by their stored forms; raise ``InvalidValueError``.

    It is written out because a loop over the fields takes twice as long. A required field is never ``None``.
    """
    sent.start_time = parse_timestamp(sent.start_time)
    sent.status = parse_status(sent.status)
    if sent.end_time is not None:
        sent.end_time = parse_timestamp(sent.end_time)
    if sent.metrics_json is not None:
        sent.metrics_json = canonical_object(sent.metrics_json)
    if sent.context_json is not None:
        sent.context_json = canonical_object(sent.context_json)
    if sent.commit_hash is not None:
        sent.commit_hash = parse_commit_hash(sent.commit_hash)
    if sent.commit_source is not None:
        sent.commit_source = parse_commit_source(sent.commit_source)
    if sent.commit_timestamp is not None:
        sent.commit_timestamp = parse_timestamp(sent.commit_timestamp)
    if sent.extra is not None:
        sent.extra = canonical_object(sent.extra)


_SHAPES: dict[Any, Any] = {
    EventId: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_EVENT_ID_LENGTH)],
    Name: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT_CHARACTERS)],
    Text: Annotated[str, msgspec.Meta(max_length=MAX_TEXT_CHARACTERS)],
    Count: Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)],
    JsonText: dict[str, Any],
}
"""What msgspec checks itself; every other type is a JSON string that goes through its rule."""

_FIELDS: tuple["attrs.Attribute[Any]", ...] = attrs.fields(Run)


def _shape() -> type[msgspec.Struct]:
    """Return a struct with the fields of ``Run`` in order, with their types on the wire."""
    return msgspec.defstruct("RunShape", list(map(_shape_field, _FIELDS)), forbid_unknown_fields=True)


def _shape_field(field: "attrs.Attribute[Any]") -> Any:
    if field.name in SERVER_FIELDS:
        return field.name, Any, None
    shape = _SHAPES.get(kind_of(field), str)
    if field.default is attrs.NOTHING:
        return field.name, shape
    return field.name, shape if field.default is not None else shape | None, field.default
