"""The candidates of a request in slices, each of which is written before the next one is decoded."""

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from adapters.wire.otlp.mapping import EncodedOrigin, SpanMapper, is_pending
from adapters.wire.otlp.shortening import shorten_origin
from adapters.wire.otlp.spans import SpanGroup, UndecodableSpanError
from core.model.batch import Candidate, RefusedRun
from core.model.run import Timestamp
from core.model.validation_error import ValidationError

SLICE_SPANS: Final = 1000

SLICE_BYTES: Final = 4 * 1024 * 1024
"""A slice ends early, once its spans had so many bytes."""

_ORIGIN_CHARACTERS: Final = 64 * 1024 * 1024
"""What resources and scopes may add to the runs of a request altogether, since every run repeats them."""

_LEAST_ORIGIN_CHARACTERS: Final = 1024
_MOST_ORIGIN_CHARACTERS: Final = 512 * 1024


@attrs.frozen
class SpanSlice:
    """Some candidates, the number of the span of each (counting from 0), and what was left out of which."""

    candidates: list[Candidate] = attrs.Factory(list)
    indices: list[int] = attrs.Factory(list)
    warnings: list[str] = attrs.Factory(list)

    def add(self, candidate: Candidate, index: int) -> None:
        """Add a candidate."""
        self.candidates.append(candidate)
        self.indices.append(index)


def count_spans(groups: Sequence[SpanGroup]) -> int:
    """Return the number of spans in a request."""
    return sum(len(group.encoded) for group in groups)


def read_slices(groups: Sequence[SpanGroup], mapper: SpanMapper, now: Timestamp) -> Iterator[SpanSlice]:
    """Decode and map the spans of a request, a slice at a time. Pending spans are passed over."""
    most = max(_LEAST_ORIGIN_CHARACTERS, min(_MOST_ORIGIN_CHARACTERS, _ORIGIN_CHARACTERS // (count_spans(groups) or 1)))
    part, size, index = SpanSlice(), 0, 0
    for group in groups:
        reader = _GroupReader(group, mapper, now, most)
        for encoded in group.encoded:
            reader.read(encoded, index, part)
            index += 1
            size += len(memoryview(encoded))
            if len(part.candidates) == SLICE_SPANS or size >= SLICE_BYTES:
                yield part
                part, size = SpanSlice(), 0
    if part.candidates or part.warnings:
        yield part


class _GroupReader:
    """Reads the spans of one group into slices."""

    def __init__(self, group: SpanGroup, mapper: SpanMapper, now: Timestamp, most: int) -> None:
        self._group, self._mapper, self._now, self._most = group, mapper, now, most
        self._origin: EncodedOrigin | None = None
        self._failure: UndecodableSpanError | None = None

    def read(self, encoded: object, index: int, part: SpanSlice) -> None:
        """Add what becomes of one span."""
        try:
            origin = self._origin or self._open(part)
            span = self._group.decode(encoded)
        except UndecodableSpanError as error:
            part.add(RefusedRun(index, None, None, (ValidationError(None, str(error)),)), index)
            return
        if is_pending(span):
            return
        candidate, left_out = self._mapper.candidate(span, origin, index, self._now)
        part.add(candidate, index)
        if left_out and not isinstance(candidate, RefusedRun):
            part.warnings.append(f"span {candidate.event_id}: too long to keep: {', '.join(left_out)}")

    def _open(self, part: SpanSlice) -> EncodedOrigin:
        """Return the origin of all spans of the group, decoded with the first of them."""
        if self._failure is not None:
            raise self._failure
        try:
            origin = self._group.origin()
        except UndecodableSpanError as error:
            self._failure = error
            raise
        left_out = shorten_origin(origin, self._most)
        if left_out:
            part.warnings.append(f"resource or scope: too long to keep with every span: {', '.join(left_out)}")
        self._origin = EncodedOrigin.of(origin)
        return self._origin
