"""The query string of the list of runs, and the text of a cursor."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from adapters.wire.structure import Structurer
from core.batch import Fault, Limits
from core.errors import InvalidQueryError
from core.listing import Cursor, MetadataRequest, PageRequest, RunFilter
from core.rules import MAX_COUNT, FieldError, describe, parse_timestamp

_PAGING = ("limit", "offset", "cursor")


def parse_metadata_query(query: Mapping[str, str], limits: Limits) -> MetadataRequest:
    """Which part of the metadata; a mapping may hold a name several times, as a query string may.

    Raises:
        InvalidQueryError: an unknown or repeated parameter, or a value that breaks its rule.
    """
    _check_names(query)
    if unknown := sorted(query.keys() - {"limit", "cursor"}):
        raise InvalidQueryError(
            tuple(Fault(name, "cannot be given here; what can is limit, cursor") for name in unknown)
        )
    cursor = query.get("cursor")
    agent_names_offset, job_types_offset = _parse_metadata_cursor(cursor) if cursor else (0, 0)
    return MetadataRequest(
        limit=_number(query, "limit", MetadataRequest().limit, 1, limits.max_metadata_names),
        agent_names_offset=agent_names_offset,
        job_types_offset=job_types_offset,
    )


def parse_list_query(query: Mapping[str, str], structurer: Structurer, limits: Limits) -> tuple[RunFilter, PageRequest]:
    """Which runs and which part of their list. A mapping may hold a name several times, as a query string may.

    ``cursor=`` without a value begins at the top like no cursor, but without counting.

    Raises:
        InvalidQueryError: an unknown or repeated parameter, or a value that breaks its rule.
    """
    _check_names(query)
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
    return _sealed(cursor.start_time, cursor.arrival)


def format_metadata_cursor(rest: MetadataRequest) -> str:
    """The place where the next part of the metadata begins, as a text that is only meant to be sent back."""
    return _sealed(rest.agent_names_offset, rest.job_types_offset)


def _sealed(*parts: object) -> str:
    return urlsafe_b64encode(" ".join(map(str, parts)).encode()).decode().rstrip("=")


def _parse_cursor(text: str) -> Cursor:
    with _explained_cursor():
        start_time, arrival = _unsealed(text)
        return Cursor(parse_timestamp(start_time), _within(int(arrival), 0, MAX_COUNT))


def _parse_metadata_cursor(text: str) -> tuple[int, int]:
    with _explained_cursor():
        agent_names, job_types = (_within(int(part), 0, MAX_COUNT) for part in _unsealed(text))
        return agent_names, job_types


def _unsealed(text: str) -> list[str]:
    return urlsafe_b64decode(text.encode() + b"==").decode().split(" ")


@contextmanager
def _explained_cursor() -> Iterator[None]:
    try:
        yield
    except (ValueError, FieldError):
        reason = "is not a next_cursor that this API gave"
        raise InvalidQueryError((Fault("cursor", reason),)) from None


def _check_names(query: Mapping[str, str]) -> None:
    names = list(query.keys())
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidQueryError(tuple(Fault(name, "is given more than once") for name in repeated))


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
