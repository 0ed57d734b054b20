"""Validation rules for list queries, the same for every entrypoint."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from core.errors import InvalidQueryError
from core.model.limits import MAX_COUNT, Limits
from core.model.listing import MAX_PART_BYTES, Cursor, MetadataRequest, PageRequest
from core.model.validation_error import ValidationError
from core.validation.fields import InvalidValueError, describe, parse_timestamp, plain

_Rule = Callable[[object], object]

OFFSET_BESIDE_CURSOR: Final = ValidationError("offset", "cannot be combined with a cursor; omit one of them")

OFFSET_BESIDE_SEARCH: Final = ValidationError("offset", "cannot be combined with q; page with cursor instead")

INVALID_CURSOR: Final = ValidationError(
    "cursor", "is not a next_cursor returned by this API; omit it for the first page"
)


def page_request(parts: Mapping[str, object], limits: Limits) -> PageRequest:
    """Return the request with these parts, and defaults for the others.

    Raises:
        InvalidQueryError: some of them are invalid; each is named.
    """
    rules: Mapping[str, _Rule] = {
        "limit": _within(1, limits.max_page_runs),
        "offset": _within(0, MAX_COUNT),
        "cursor": _cursor,
        "counted": _choice,
        "oldest_first": _choice,
        "max_text_bytes": _within(1, MAX_PART_BYTES),
        "max_examined": _optional(_within(1, MAX_COUNT)),
        "last_examined": _cursor,
        "max_seconds": _optional(_within(1, MAX_COUNT)),
    }
    kept, errors = _validate(parts, rules)
    if kept.get("cursor") is not None and kept.get("offset"):
        errors.append(OFFSET_BESIDE_CURSOR)
    if errors:
        raise InvalidQueryError(tuple(errors))
    return PageRequest(**kept)


def metadata_request(parts: Mapping[str, object], limits: Limits) -> MetadataRequest:
    """Return the request with these parts; raise as ``page_request`` does."""
    rules: Mapping[str, _Rule] = {
        "limit": _within(1, limits.max_metadata_names),
        "agent_names_offset": _within(0, MAX_COUNT),
        "job_types_offset": _within(0, MAX_COUNT),
    }
    kept, errors = _validate(parts, rules)
    if errors:
        raise InvalidQueryError(tuple(errors))
    return MetadataRequest(**kept)


def _validate(parts: Mapping[str, object], rules: Mapping[str, _Rule]) -> tuple[dict[str, Any], list[ValidationError]]:
    kept: dict[str, Any] = {}
    errors: list[ValidationError] = []
    for name, value in parts.items():
        try:
            kept[name] = rules[name](value)
        except InvalidValueError as error:
            errors.append(ValidationError(name, str(error)))
    return kept, errors


def _within(low: int, high: int) -> _Rule:
    return lambda value: _number(value, low, high)


def _optional(rule: _Rule) -> _Rule:
    return lambda value: None if value is None else rule(value)


def _number(value: object, low: int, high: int) -> int:
    number = plain(value)
    if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
        raise InvalidValueError(f"must be an integer from {low} to {high}, not {describe(number)}")
    return number


def _choice(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidValueError(f"must be True or False, not {describe(value)}")
    return value


def _cursor(value: object) -> Cursor | None:
    if value is None:
        return None
    try:
        if isinstance(value, Cursor):
            return Cursor(parse_timestamp(plain(value.start_time)), _number(value.arrival, 0, MAX_COUNT))
    except InvalidValueError:
        pass
    raise InvalidValueError(INVALID_CURSOR.reason)
