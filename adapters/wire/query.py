"""Query strings of lists, and cursors as text."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, TypeVar

import attrs

from adapters.wire.run_view import VIEW_PARAMETERS, RunView, parse_view
from adapters.wire.structure import Structurer
from core.errors import InvalidQueryError
from core.model.job import JobFilter, JobPageRequest, JobState
from core.model.limits import MAX_COUNT, Limits
from core.model.listing import Cursor, MetadataRequest, PageRequest, RunFilter
from core.model.refusal import RefusalFilter, RefusalPageRequest
from core.model.run import FIELDS, SERVER_FIELDS, Text, Timestamp
from core.model.statistics import MAX_BUCKET_SECONDS, FacetField
from core.model.validation_error import ValidationError
from core.validation.fields import InvalidValueError, describe, parse_text
from core.validation.queries import INVALID_CURSOR, OFFSET_BESIDE_CURSOR, metadata_request, page_request

_PAGING = ("limit", "offset", "cursor")
_METADATA_PAGING = ("limit", "cursor")
_JOB_PARAMETERS = ("state", "limit", "cursor")
_REFUSAL_PARAMETERS = ("run_id", "field", "limit", "cursor")
_STATISTICS_PARAMETERS = ("bucket", "metrics")

_SENT_FIELDS = frozenset(FIELDS) - SERVER_FIELDS

DEFAULT_BUCKET_SECONDS: Final = 24 * 3600

_Choice = TypeVar("_Choice", bound=StrEnum)


class ExportFormat(StrEnum):
    """As what runs are exported."""

    NDJSON = "ndjson"
    CSV = "csv"


@attrs.frozen
class StatisticsQuery:
    """Which runs, how wide the buckets are, and which metrics to sum."""

    which: RunFilter
    bucket_seconds: int
    metrics: Sequence[str]


def parse_list_query(
    pairs: Iterable[tuple[str, str]], structurer: Structurer, limits: Limits
) -> tuple[RunFilter, PageRequest, RunView]:
    """Return the filter, the page request and the view in a query string, given its names and values.

    ``cursor=`` without a value starts at the top, as without a cursor, but does not count.

    Raises:
        InvalidQueryError: a parameter is unknown, repeated or invalid.
    """
    query = _distinct(pairs)
    paging = _take(query, _PAGING)
    view = _take(query, VIEW_PARAMETERS)
    which = structurer.run_filter(query, (*_PAGING, *VIEW_PARAMETERS))
    return which, _parse_paging(paging, limits), parse_view(view, which)


def parse_metadata_query(pairs: Iterable[tuple[str, str]], limits: Limits) -> MetadataRequest:
    """Return the request for a part of the metadata; parse and raise as ``parse_list_query`` does."""
    query = _known(pairs, _METADATA_PAGING)
    parts: dict[str, object] = {"limit": _number(query["limit"])} if "limit" in query else {}
    if query.get("cursor"):
        parts |= _parse_metadata_cursor(query["cursor"])
    return metadata_request(parts, limits)


def parse_jobs_query(pairs: Iterable[tuple[str, str]], limits: Limits) -> tuple[JobFilter, JobPageRequest]:
    """Which jobs and which part of their list; reads and raises as ``parse_list_query`` does."""
    query = _known(pairs, _JOB_PARAMETERS)
    state = _choice(JobState, "state", query["state"]) if "state" in query else None
    limit, cursor = _parse_numbered(query, limits)
    return JobFilter(state=state), JobPageRequest(limit=limit, cursor=cursor)


def parse_refusals_query(pairs: Iterable[tuple[str, str]], limits: Limits) -> tuple[RefusalFilter, RefusalPageRequest]:
    """Which refusals and which part of their list; reads and raises as ``parse_list_query`` does."""
    query = _distinct(pairs)
    if unknown := _unknown(query, _REFUSAL_PARAMETERS):
        raise InvalidQueryError(tuple(unknown))
    which = RefusalFilter(run_id=_parse_run_id(query.get("run_id")), field=_parse_field(query.get("field")))
    limit, cursor = _parse_numbered(query, limits)
    return which, RefusalPageRequest(limit=limit, cursor=cursor)


def parse_export_query(pairs: Iterable[tuple[str, str]], structurer: Structurer) -> tuple[RunFilter, ExportFormat]:
    """Which runs, and as what; reads and raises as ``parse_list_query`` does."""
    query = _distinct(pairs)
    kind = _choice(ExportFormat, "format", query.pop("format", ExportFormat.NDJSON))
    return structurer.run_filter(query, ("format",)), kind


def parse_tree_query(pairs: Iterable[tuple[str, str]], limits: Limits) -> tuple[str | None, int]:
    """Return the ``event_id`` and the limit of a tree; parse and raise as ``parse_list_query`` does."""
    query = _known(pairs, ("event_id", "limit"))
    limit = _integer("limit", query["limit"], limits.max_tree_runs) if "limit" in query else limits.max_tree_runs
    return query.get("event_id"), limit


def parse_rollup_query(pairs: Iterable[tuple[str, str]]) -> str | None:
    """Return the ``event_id`` of a rollup; parse and raise as ``parse_list_query`` does."""
    return _known(pairs, ("event_id",)).get("event_id")


def parse_statistics_query(pairs: Iterable[tuple[str, str]], structurer: Structurer) -> StatisticsQuery:
    """Return what statistics to make of which runs; parse and raise as ``parse_list_query`` does."""
    query = _distinct(pairs)
    own = _take(query, _STATISTICS_PARAMETERS)
    bucket = _integer("bucket", own["bucket"], MAX_BUCKET_SECONDS) if "bucket" in own else DEFAULT_BUCKET_SECONDS
    metrics = own["metrics"].split(",") if own.get("metrics") else []
    return StatisticsQuery(structurer.run_filter(query, _STATISTICS_PARAMETERS), bucket, metrics)


def parse_facets_query(pairs: Iterable[tuple[str, str]], structurer: Structurer) -> tuple[RunFilter, Sequence[str]]:
    """Return of which runs to count the values of which fields; parse and raise as ``parse_list_query`` does."""
    query = _distinct(pairs)
    fields = query.pop("fields").split(",") if "fields" in query else tuple(FacetField)
    return structurer.run_filter(query, ("fields",)), fields


def format_cursor(cursor: Cursor) -> str:
    """Return the cursor as opaque text, only meant to be sent back."""
    return _pack(cursor.start_time, cursor.arrival)


def format_number_cursor(cursor: int) -> str:
    """Return a position in the list of jobs or refusals as opaque text, only meant to be sent back."""
    return _pack(cursor)


def parse_cursor(text: str) -> Cursor:
    """Return the cursor from which ``format_cursor`` made this text; raise ``ValueError`` for any other text."""
    start_time, arrival = _unpack(text)
    return Cursor(Timestamp(start_time), int(arrival))


def format_metadata_cursor(rest: MetadataRequest) -> str:
    """Return the position of the next part of the metadata as opaque text, only meant to be sent back."""
    return _pack(rest.agent_names_offset, rest.job_types_offset)


def _distinct(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    sent = list(pairs)
    if repeated := sorted(name for name, times in Counter(name for name, _ in sent).items() if times > 1):
        raise InvalidQueryError(
            tuple(ValidationError(name, "is given more than once; give it once") for name in repeated)
        )
    return dict(sent)


def _known(pairs: Iterable[tuple[str, str]], known: Sequence[str]) -> dict[str, str]:
    """Return a query string that has no other parameters."""
    query = _distinct(pairs)
    if unknown := _unknown(query, known):
        raise InvalidQueryError(tuple(unknown))
    return query


def _take(query: dict[str, str], names: Sequence[str]) -> dict[str, str]:
    """Take these parameters out of a query string, as far as they are given."""
    return {name: query.pop(name) for name in names if name in query}


def _unknown(query: dict[str, str], known: Sequence[str]) -> list[ValidationError]:
    reason = f"is not allowed here; allowed parameters: {', '.join(known)}"
    return [ValidationError(name, reason) for name in sorted(query.keys() - set(known))]


def _choice(kind: type[_Choice], name: str, text: str) -> _Choice:
    try:
        return kind(text)
    except ValueError:
        reason = f"must be one of {', '.join(kind)}; not {describe(text)}"
        raise InvalidQueryError((ValidationError(name, reason),)) from None


def _parse_run_id(text: str | None) -> Text | None:
    try:
        return None if text is None else parse_text(text)
    except InvalidValueError as error:
        raise InvalidQueryError((ValidationError("run_id", str(error)),)) from None


def _parse_field(text: str | None) -> str | None:
    if text is None or text in _SENT_FIELDS:
        return text
    reason = f"must be a field of a run, such as start_time; not {describe(text)}"
    raise InvalidQueryError((ValidationError("field", reason),))


def _parse_numbered(query: dict[str, str], limits: Limits) -> tuple[int, int | None]:
    """Return the limit and the cursor of a list whose items are numbered."""
    cursor = _parse_number_cursor(query["cursor"]) if query.get("cursor") else None
    parts: dict[str, object] = {"limit": _number(query["limit"])} if "limit" in query else {}
    return page_request(parts, limits).limit, cursor


def _parse_number_cursor(text: str) -> int:
    try:
        (number,) = map(int, _unpack(text))
    except ValueError:
        number = -1
    if not 0 <= number <= MAX_COUNT:
        raise InvalidQueryError((INVALID_CURSOR,))
    return number


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
    """Return the cursor, or the text if it is not one."""
    try:
        return parse_cursor(text)
    except ValueError:
        return text


def _parse_metadata_cursor(text: str) -> dict[str, object]:
    try:
        agent_names, job_types = map(int, _unpack(text))
    except ValueError:
        raise InvalidQueryError((INVALID_CURSOR,)) from None
    return {"agent_names_offset": agent_names, "job_types_offset": job_types}


def _number(text: str) -> int | str:
    """Return the number in decimal digits, or the text if it is not one."""
    try:
        return int(text if text.isascii() and text.isdecimal() else "")
    except ValueError:
        return text


def _integer(name: str, text: str, most: int) -> int:
    """Return an integer, of which the use case says whether it is from 1 to ``most``."""
    number = _number(text)
    if isinstance(number, str):
        raise InvalidQueryError((ValidationError(name, f"must be an integer from 1 to {most}, not {describe(text)}"),))
    return number


def _pack(*parts: object) -> str:
    return urlsafe_b64encode(" ".join(map(str, parts)).encode()).decode().rstrip("=")


def _unpack(text: str) -> list[str]:
    """Return the parts of a cursor; raise ``ValueError`` if it is not one."""
    return urlsafe_b64decode(text.encode() + b"==").decode().split(" ")
