"""The query string of the list of runs, and the text of a cursor."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Iterable

from adapters.wire.structure import Structurer
from core.batch import Fault, Limits
from core.errors import InvalidQueryError
from core.listing import Cursor, PageRequest, RunFilter
from core.query import OFFSET_BESIDE_CURSOR, page_request
from core.run import Timestamp

_PAGING = ("limit", "offset", "cursor")


def parse_list_query(
    pairs: Iterable[tuple[str, str]], structurer: Structurer, limits: Limits
) -> tuple[RunFilter, PageRequest]:
    """Which runs and which part of their list, from the names and values of a query string as they stand in it.

    ``cursor=`` without a value begins at the top like no cursor, but without counting.

    Raises:
        InvalidQueryError: an unknown or repeated parameter, or a value that breaks its rule.
    """
    sent = list(pairs)
    if repeated := sorted(name for name, times in Counter(name for name, _ in sent).items() if times > 1):
        raise InvalidQueryError(tuple(Fault(name, "is given more than once") for name in repeated))
    query = dict(sent)
    paging = {name: query.pop(name) for name in _PAGING if name in query}
    which = structurer.run_filter(query)
    return which, _parse_paging(paging, limits)


def _parse_paging(paging: dict[str, str], limits: Limits) -> PageRequest:
    parts: dict[str, object] = {name: _number(text) for name, text in paging.items() if name != "cursor"}
    if "cursor" in paging:
        text = paging["cursor"]
        parts |= {"counted": False, "cursor": _parse_cursor(text) if text else None}
    request = page_request(parts, limits)
    if "cursor" in paging and request.offset:
        raise InvalidQueryError((OFFSET_BESIDE_CURSOR,))
    return request


def format_cursor(cursor: Cursor) -> str:
    """A cursor as a text that is only meant to be sent back."""
    return urlsafe_b64encode(f"{cursor.start_time} {cursor.arrival}".encode()).decode().rstrip("=")


def _parse_cursor(text: str) -> Cursor | str:
    """The cursor, or the text that is none."""
    try:
        start_time, arrival = urlsafe_b64decode(text.encode() + b"==").decode().split(" ")
        return Cursor(Timestamp(start_time), int(arrival))
    except ValueError:
        return text


def _number(text: str) -> int | str:
    """The number in decimal digits, or the text that is none."""
    try:
        return int(text if text.isascii() and text.isdecimal() else "")
    except ValueError:
        return text
