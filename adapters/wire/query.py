"""Query strings of lists, and the texts of cursors."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Iterable

from adapters.wire.structure import Structurer
from core.errors import InvalidQueryError
from core.model.limits import Limits
from core.model.listing import Cursor, MetadataRequest, PageRequest, RunFilter
from core.model.run import Timestamp
from core.model.validation_error import ValidationError
from core.validation.queries import INVALID_CURSOR, OFFSET_BESIDE_CURSOR, metadata_request, page_request

_PAGING = ("limit", "offset", "cursor")
_METADATA_PAGING = ("limit", "cursor")


def parse_list_query(
    pairs: Iterable[tuple[str, str]], structurer: Structurer, limits: Limits
) -> tuple[RunFilter, PageRequest]:
    """Which runs and which part of their list, from the names and values of a query string as they stand in it.

    ``cursor=`` without a value begins at the top like no cursor, but without counting.

    Raises:
        InvalidQueryError: an unknown or repeated parameter, or a value that breaks its rule.
    """
    query = _distinct(pairs)
    paging = {name: query.pop(name) for name in _PAGING if name in query}
    which = structurer.run_filter(query)
    return which, _parse_paging(paging, limits)


def parse_metadata_query(pairs: Iterable[tuple[str, str]], limits: Limits) -> MetadataRequest:
    """Which part of the metadata; reads and raises as ``parse_list_query`` does."""
    query = _distinct(pairs)
    if unknown := sorted(query.keys() - set(_METADATA_PAGING)):
        reason = f"cannot be given here; what can is {', '.join(_METADATA_PAGING)}"
        raise InvalidQueryError(tuple(ValidationError(name, reason) for name in unknown))
    parts: dict[str, object] = {"limit": _number(query["limit"])} if "limit" in query else {}
    if query.get("cursor"):
        parts |= _parse_metadata_cursor(query["cursor"])
    return metadata_request(parts, limits)


def format_cursor(cursor: Cursor) -> str:
    """A cursor as a text that is only meant to be sent back."""
    return _sealed(cursor.start_time, cursor.arrival)


def parse_cursor(text: str) -> Cursor:
    """The cursor that ``format_cursor`` made this text of; raises ``ValueError`` for what is none."""
    start_time, arrival = _unsealed(text)
    return Cursor(Timestamp(start_time), int(arrival))


def format_metadata_cursor(rest: MetadataRequest) -> str:
    """The place where the next part of the metadata begins, as a text that is only meant to be sent back."""
    return _sealed(rest.agent_names_offset, rest.job_types_offset)


def _distinct(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    sent = list(pairs)
    if repeated := sorted(name for name, times in Counter(name for name, _ in sent).items() if times > 1):
        raise InvalidQueryError(tuple(ValidationError(name, "is given more than once") for name in repeated))
    return dict(sent)


def _parse_paging(paging: dict[str, str], limits: Limits) -> PageRequest:
    parts: dict[str, object] = {name: _number(text) for name, text in paging.items() if name != "cursor"}
    if "cursor" in paging:
        text = paging["cursor"]
        parts |= {"counted": False, "cursor": _parse_cursor(text) if text else None}
    request = page_request(parts, limits)
    if "cursor" in paging and request.offset:
        raise InvalidQueryError((OFFSET_BESIDE_CURSOR,))
    return request


def _parse_cursor(text: str) -> Cursor | str:
    """The cursor, or the text that is none."""
    try:
        return parse_cursor(text)
    except ValueError:
        return text


def _parse_metadata_cursor(text: str) -> dict[str, object]:
    try:
        agent_names, job_types = map(int, _unsealed(text))
    except ValueError:
        raise InvalidQueryError((INVALID_CURSOR,)) from None
    return {"agent_names_offset": agent_names, "job_types_offset": job_types}


def _number(text: str) -> int | str:
    """The number in decimal digits, or the text that is none."""
    try:
        return int(text if text.isascii() and text.isdecimal() else "")
    except ValueError:
        return text


def _sealed(*parts: object) -> str:
    return urlsafe_b64encode(" ".join(map(str, parts)).encode()).decode().rstrip("=")


def _unsealed(text: str) -> list[str]:
    """The parts of a cursor; raises ``ValueError`` for what is none."""
    return urlsafe_b64decode(text.encode() + b"==").decode().split(" ")
