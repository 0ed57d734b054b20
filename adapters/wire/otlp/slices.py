"""The candidates of a request in slices, each of which is written before the next one is decoded."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import attrs

from adapters.wire.otlp.mapping import EncodedOrigin, SpanMapper, is_pending
from adapters.wire.otlp.shortening import shorten_resource, shorten_scope
from adapters.wire.otlp.spans import Attributes, Once, Origin, SpanGroup, UndecodableSpanError
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
_RESOURCE_SHARE: Final = 0.75
"""How much of that a resource may take; the rest is for the scope."""


@attrs.define
class SpanSlice:
    """Some candidates, the number of the span of each (counting from 0), and what was left out of which.

    After the ``last`` one there is no need to ask for another.
    """

    candidates: list[Candidate] = attrs.Factory(list)
    indices: list[int] = attrs.Factory(list)
    warnings: list[str] = attrs.Factory(list)
    last: bool = False

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
    resource = None
    for group in groups:
        if resource is None or resource.source is not group.resource:
            resource = _Resource(group.resource, most)
        reader = _GroupReader(group, resource, mapper, now, most)
        for encoded in group.encoded:
            reader.read(encoded, index, part)
            index += 1
            size += len(memoryview(encoded))
            if len(part.candidates) == SLICE_SPANS or size >= SLICE_BYTES:
                yield part
                part, size = SpanSlice(), 0
    if part.candidates or part.warnings:
        part.last = True
        yield part


class _Resource:
    """A resource, decoded and shortened once for all groups that share it."""

    def __init__(self, source: Callable[[], Attributes], most: int) -> None:
        self.source = source
        self.attributes = Once(self._open)
        self.left_out: list[str] = []
        """The names of its attributes that are too long to keep, until a warning says so."""
        self._most = most

    def _open(self) -> Attributes:
        attributes = self.source()
        self.left_out = shorten_resource(attributes, int(self._most * _RESOURCE_SHARE))
        return attributes


class _GroupReader:
    """Reads the spans of one group into slices."""

    def __init__(self, group: SpanGroup, resource: _Resource, mapper: SpanMapper, now: Timestamp, most: int) -> None:
        self._group, self._resource, self._mapper, self._now, self._most = group, resource, mapper, now, most
        self._origin = Once(self._open)
        self._left_out: list[str] = []

    def read(self, encoded: object, index: int, part: SpanSlice) -> None:
        """Add what becomes of one span."""
        try:
            origin = self._origin()
            self._warn(part)
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

    def _open(self) -> EncodedOrigin:
        """Return the origin of all spans of the group; raise ``UndecodableSpanError``."""
        origin = Origin(self._resource.attributes(), self._group.scope())
        self._left_out = [*self._resource.left_out, *shorten_scope(origin, self._most)]
        self._resource.left_out = []
        return EncodedOrigin.of(origin)

    def _warn(self, part: SpanSlice) -> None:
        """Say once what is left out of every run of the group."""
        if self._left_out:
            part.warnings.append(f"resource or scope: too long to keep with every span: {', '.join(self._left_out)}")
            self._left_out = []
