"""The query string of the list of runs, and the text of a cursor."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping

from adapters.wire.structure import Structurer
from core.batch import Fault, Limits
from core.errors import InvalidQueryError
from core.listing import Cursor, PageRequest, RunFilter
from core.rules import MAX_COUNT, FieldError, describe, parse_timestamp

_PAGING = ("limit", "offset", "cursor")


def parse_list_query(query: Mapping[str, str], structurer: Structurer, limits: Limits) -> tuple[RunFilter, PageRequest]:
    """Which runs and which part of their list. A mapping may hold a name several times, as a query string may.

    ``cursor=`` without a value begins at the top like no cursor, but without counting.

    Raises:
        InvalidQueryError: an unknown or repeated parameter, or a value that breaks its rule.
    """
    names = list(query.keys())
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidQueryError(tuple(Fault(name, "is given more than once") for name in repeated))
    which = structurer.run_filter({name: value for name, value in query.items() if name not in _PAGING})
    cursor = query.get("cursor")
    request = PageRequest(
        limit=_number(query, "limit", PageRequest().limit, 1, limits.max_page_runs),
        offset=_number(query, "offset", 0, 0, MAX_COUNT),
        cursor=_parse_cursor(cursor) if cursor else None,
        counted=cursor is None,
    )
    if cursor is not None and request.offset:
        raise InvalidQueryError((Fault("offset", "cannot be combined with a cursor; leave one of them out"),))
    return which, request


def format_cursor(cursor: Cursor) -> str:
    """A cursor as a text that is only meant to be sent back."""
    return urlsafe_b64encode(f"{cursor.start_time} {cursor.arrival}".encode()).decode().rstrip("=")


def _parse_cursor(text: str) -> Cursor:
    try:
        start_time, arrival = urlsafe_b64decode(text.encode() + b"==").decode().split(" ")
        return Cursor(parse_timestamp(start_time), _within(int(arrival), 0, MAX_COUNT))
    except (ValueError, FieldError):
        reason = "is not a next_cursor that this API gave"
        raise InvalidQueryError((Fault("cursor", reason),)) from None


def _number(query: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    try:
        return _within(int(text if text.isascii() and text.isdecimal() else ""), low, high)
    except ValueError:
        reason = f"must be an integer from {low} to {high}, not {describe(text)}"
        raise InvalidQueryError((Fault(name, reason),)) from None


def _within(number: int, low: int, high: int) -> int:
    if not low <= number <= high:
        raise ValueError
    return number
