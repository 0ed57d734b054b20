"""Spans in plain values, whichever encoding they came in."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

import attrs
import msgspec

from core.errors import RunsinkError

Attributes = dict[str, Any]
"""Names and plain JSON values. Bytes are base64 text, and numbers that are not finite ``NaN``, ``Infinity``, …"""

NO_ID: Final = ""


class UndecodableExportError(RunsinkError):
    """A request is not what its ``Content-Type`` says, so that nothing in it can be relied on."""


class TooManySpansError(RunsinkError):
    """A request has more spans than valid ones would fit into its bytes."""


class UndecodableSpanError(Exception):
    """A single span cannot be decoded; the message completes a sentence that begins with the span."""


# The structs hold nothing that refers to them, so the garbage collector need not track them.


class Event(msgspec.Struct, gc=False):
    """Something that happened during a span; the time is in nanoseconds since 1970, 0 if it is not known."""

    name: str
    time_unix_nano: int
    attributes: Attributes


class Link(msgspec.Struct, gc=False):
    """Another span that a span refers to; ids as in ``Span``."""

    trace_id: str
    span_id: str
    attributes: Attributes


class Span(msgspec.Struct, gc=False):
    """One span. Ids are lower-case hex as far as they were hex, ``NO_ID`` where there is none; nothing is checked.

    Times are in nanoseconds since 1970, 0 where there is none. ``kind`` and ``status_code`` have the numbers of OTLP.
    """

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: int
    start_time_unix_nano: int
    end_time_unix_nano: int
    attributes: Attributes
    events: list[Event]
    links: list[Link]
    status_code: int
    status_message: str


class Origin(msgspec.Struct):
    """Where spans come from: the attributes of their resource, and the instrumentation scope."""

    resource: Attributes
    scope: dict[str, Any]


_T = TypeVar("_T")


class Once(Generic[_T]):
    """Decodes what many spans share when it is first asked for, and then repeats the result, or the error.

    A request can name a resource of any size for every span, so decoding it for each would take the square of its size.
    """

    def __init__(self, decode: Callable[[], _T]) -> None:
        self._decode: Callable[[], _T] | None = decode
        self._decoded: _T
        self._error: UndecodableSpanError | None = None

    def __call__(self) -> _T:
        """Return the result; raise ``UndecodableSpanError``."""
        if self._decode is not None:
            decode, self._decode = self._decode, None
            try:
                self._decoded = decode()
            except UndecodableSpanError as error:
                self._error = error
        if self._error is not None:
            # Otherwise the traceback would grow with every span.
            raise self._error.with_traceback(None)
        return self._decoded


@attrs.frozen
class SpanGroup:
    """Spans of one origin, each decoded only when its turn has come; so few are in memory at a time.

    Groups that follow each other and have one resource share the very same ``resource``. All three functions raise
    ``UndecodableSpanError``.
    """

    resource: Callable[[], Attributes]
    scope: Callable[[], dict[str, Any]]
    encoded: Sequence[Any]
    decode: Callable[[Any], Span]


def scope_of(name: str, version: str, attributes: Attributes) -> dict[str, Any]:
    """Return an instrumentation scope in plain values."""
    return {"name": name, "version": version, "attributes": attributes}


def plain_number(number: float) -> float | str:
    """Return a finite number as it is, and any other as the text that the JSON of Protocol Buffers has for it."""
    if number - number == 0:
        return number
    return "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"  # noqa: PLR0124 - NaN alone differs
