"""Validation rules for single fields: each function takes any plain value and returns its stored form, or rejects it.

It rejects a value with an ``InvalidValueError``, whose text completes a sentence that starts with the field's name
("start_time" + "has no UTC offset; …"). Nothing is coerced: ``1`` is never ``"1"``, ``True`` is never 1.
The source of every rule is the contract, "A run".

Plain values are what ``json.loads`` returns. Use ``plain`` to convert anything else that a caller in the same process
may pass.
"""

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

import attrs

from core.model.limits import (
    MAX_COUNT,
    MAX_EVENT_ID_LENGTH,
    MAX_JSON_CHARACTERS,
    MAX_JSON_DEPTH,
    MAX_JSON_INTEGER_DIGITS,
    MAX_TEXT_CHARACTERS,
)
from core.model.run import CommitHash, CommitSource, Count, EventId, JsonText, Name, Status, Text, Timestamp

JSON_INTEGER_BOUND: Final = 10**MAX_JSON_INTEGER_DIGITS
"""The smallest integer with too many digits."""

STATUSES: Final[Mapping[str, Status]] = {
    **{status.value: status for status in Status},
    "failed": Status.FAILURE,
    "completed": Status.SUCCESS,
    "succeeded": Status.SUCCESS,
}
"""Every accepted status, aliases included."""

COMMIT_SOURCES: Final[Mapping[str, CommitSource]] = {source.value: source for source in CommitSource}

_COMMIT_HASH = re.compile(r"[0-9A-Fa-f]{7,40}", re.ASCII)
# CPython's parser accepts any separator, stops at a NUL, and accepts 24:00 in some versions only, so check the form
# before the calendar.
_ISO_8601 = re.compile(
    r"\d{4}(-\d\d-\d\d|\d{4}|-W\d\d(-\d)?|W\d\d\d?)"
    r"[Tt ](?!24)\d\d(:?\d\d(:?\d\d([.,]\d+)?)?)?"
    # It accepts offsets with minutes beyond 59, or with seconds.
    r"(Z|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)?",
    re.ASCII,
).fullmatch
# The form of a ``Timestamp``, with the offset ``Z`` or ``+00:00``: one of those of ``_ISO_8601``.
_EXACT_UTC = re.compile(r"\d{4}-\d\d-\d\dT(?!24)\d\d:\d\d:\d\d\.\d{6}(?:Z|\+00:00)", re.ASCII).fullmatch
_ODD_OFFSET = re.compile(r".+[Tt ][\d:.,]+([+-][\d:.]+)", re.ASCII).fullmatch


class InvalidValueError(ValueError):
    """A field's value is invalid; the message completes a sentence that starts with the field's name."""


@attrs.frozen
class Foreign:
    """Stands for a value that has no JSON equivalent; ``type_name`` is the name of its class."""

    type_name: str


_type_name = vars(type)["__name__"].__get__
_PLAIN: Final[tuple[tuple[type, Callable[[Any], object]], ...]] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (dict, lambda value: value),
    (list, lambda value: value),
)


def plain(value: object) -> object:
    """Return text and numbers as built-in types, lists and objects unchanged, and a ``Foreign`` for anything else.

    The actual class of a value counts. No method of a caller's class is called, because it may return anything, or
    raise. For the same reason, read the items of lists and objects only with ``list.copy`` and ``members``.
    """
    kind = type(value)
    if kind is str or kind is int or kind is dict or kind is list or kind is bool or value is None or kind is Foreign:
        return value
    for base, convert in _PLAIN:
        if issubclass(kind, base):
            return convert(value)
    return Foreign(_type_name(kind)[:60])


def members(value: object) -> dict[str, object]:
    """Return the members of an object, with their names as plain text.

    Raises:
        InvalidValueError: it is not an object, a name is not text, or two names are the same text.
    """
    return _named(_require_object(value))


def _named(value: dict[Any, object]) -> dict[str, object]:
    pairs = list(dict.items(value))
    named = {}
    for key, item in pairs:
        name = key if type(key) is str else plain(key)
        if not isinstance(name, str):
            raise InvalidValueError(f"has a key that is not text: {describe(name)}")
        named[name] = item
    if len(named) < len(pairs):
        raise InvalidValueError("has two keys that are the same text")
    return named


def parse_text(value: object) -> Text:
    """Return text that can be stored exactly."""
    if not isinstance(value, str):
        raise InvalidValueError(f"must be text, not {describe(value)}")
    _require_length(value, MAX_TEXT_CHARACTERS, "max_text_characters")
    _require_storable(value)
    if "\0" in value:
        raise InvalidValueError("contains a NUL character (U+0000), which text fields cannot hold; remove it")
    return Text(value)


def parse_name(value: object) -> Name:
    """Return text that can be stored exactly and is not empty."""
    text = parse_text(value)
    if not text:
        raise InvalidValueError("must not be empty")
    return Name(text)


def parse_event_id(value: object) -> EventId:
    """Return the idempotency key."""
    text = parse_text(value)
    if not 1 <= len(text) <= MAX_EVENT_ID_LENGTH:
        raise InvalidValueError(
            f"must have 1 to {MAX_EVENT_ID_LENGTH} characters (max_event_id_length), not {len(text)}"
        )
    return EventId(text)


def parse_count(value: object) -> Count:
    """Return a non-negative integer that fits in a signed 64-bit column."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidValueError(f"must be an integer, not {describe(value)}")
    if not 0 <= value <= MAX_COUNT:
        raise InvalidValueError("must be from 0 to 9223372036854775807 (2^63 - 1)")
    return Count(value)


def parse_status(value: object) -> Status:
    """Return the status with this name or alias."""
    status = STATUSES.get(value) if isinstance(value, str) else None
    if status is None:
        raise InvalidValueError(f"must be one of {', '.join(STATUSES)}; not {describe(value)}")
    return status


def parse_statuses(value: object) -> frozenset[Status]:
    """Return several statuses, given as a list or a set of names, or as names separated by commas."""
    # The actual class of a value counts, as for ``plain``.
    if type(value) in (frozenset, set, list, tuple):
        names = list(cast(Collection[object], value))
    else:
        text = plain(value)
        names = list(text.split(",")) if isinstance(text, str) else [text]
    if not names:
        raise InvalidValueError(f"must be one or more of {', '.join(STATUSES)}; not an empty list")
    return frozenset(_one_status(plain(name)) for name in names)


def _one_status(value: object) -> Status:
    try:
        return parse_status(value)
    except InvalidValueError:
        raise InvalidValueError(
            f"must be one or more, separated by commas, of {', '.join(STATUSES)}; not {describe(value)}"
        ) from None


def parse_flag(value: object) -> bool:
    """Return a truth value, given as such or as the text ``true`` or ``false``."""
    flag = {"true": True, "false": False}.get(value) if isinstance(value, str) else value
    if not isinstance(flag, bool):
        raise InvalidValueError(f"must be true or false, not {describe(value)}")
    return flag


def parse_commit_source(value: object) -> CommitSource:
    """Return who associated the commit with the run."""
    source = COMMIT_SOURCES.get(value) if isinstance(value, str) else None
    if source is None:
        raise InvalidValueError(f"must be one of {', '.join(COMMIT_SOURCES)}; not {describe(value)}")
    return source


def parse_commit_hash(value: object) -> CommitHash:
    """Return an abbreviated or full SHA-1."""
    if not isinstance(value, str) or not _COMMIT_HASH.fullmatch(value):
        raise InvalidValueError(f"must be 7 to 40 hexadecimal digits, not {describe(value)}")
    return CommitHash(value)


def parse_timestamp(value: object) -> Timestamp:
    """Return an ISO 8601 timestamp with an offset, in UTC and truncated to the microsecond."""
    if not isinstance(value, str):
        raise InvalidValueError(f"must be ISO 8601 text, not {describe(value)}")
    exact = _EXACT_UTC(value)
    if not (exact or _ISO_8601(value)):
        raise _invalid_timestamp(value)
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise _invalid_timestamp(value) from None
    # What most clients send needs no arithmetic.
    return Timestamp(f"{value[:26]}Z") if exact else _canonical_timestamp(instant)


def format_timestamp(instant: datetime) -> Timestamp:
    """Return the stored form of a timezone-aware instant."""
    return Timestamp(f"{instant.astimezone(UTC).isoformat(timespec='microseconds')[:26]}Z")


def parse_json_object(value: object) -> dict[str, object]:
    """Return the object in plain values, if all of it is JSON that can be returned exactly.

    Shape: ``dict`` with text keys, ``list``, ``str``, ``int``, finite ``float``, ``bool``, ``None``.
    """
    _require_object(value)
    try:
        parts: dict[str, object] = _plain_json(value, 1, _TextBudget())
    except _TooLongError:
        raise InvalidValueError(f"has more than {MAX_JSON_CHARACTERS} characters (max_json_characters)") from None
    except InvalidValueError as error:
        place = error.path() if isinstance(error, _NestedValueError) else "the top level"
        raise InvalidValueError(f"{error} (at {place})") from None
    return parts


def check_json_text(text: JsonText) -> JsonText:
    """Return the text, if it is not too long to be stored."""
    _require_length(text, MAX_JSON_CHARACTERS, "max_json_characters")
    return text


def describe(value: object) -> str:  # noqa: PLR0911 - one line per JSON type
    """Describe a value in JSON terms for an error message: printable, and cut to a readable length."""
    match plain(value):
        case None:
            return "null"
        case bool(truth):
            return "true" if truth else "false"
        case int(number):
            return f"the integer {number}" if abs(number) < 10**20 else "a very long integer"
        case float(number):
            return f"the number {number!r}"
        case str(text):
            shown = ascii(text[:60])
            return f"{shown} and {len(text) - 60} more characters" if len(text) > 60 else shown
        case list():
            return "a list"
        case dict():
            return "an object"
        case other:
            return f"a Python {cast(Foreign, other).type_name}"


def _invalid_timestamp(value: str) -> InvalidValueError:
    if not _ISO_8601(value) and (odd := _ODD_OFFSET(value)):
        return InvalidValueError(f"has the invalid UTC offset {describe(odd[1])}; use Z or ±HH:MM, up to 23:59")
    return InvalidValueError(f"is not an ISO 8601 date and time, such as 2026-01-31T12:00:00Z: {describe(value)}")


def _canonical_timestamp(instant: datetime) -> Timestamp:
    if instant.tzinfo is None:
        raise InvalidValueError("has no UTC offset; add one, as in 2026-01-31T12:00:00Z or …+02:00")
    try:
        return format_timestamp(instant)
    except OverflowError:
        raise InvalidValueError("is outside the years 1 to 9999 in UTC") from None


def _require_length(text: str, limit: int, name: str) -> None:
    if len(text) > limit:
        raise InvalidValueError(f"has {len(text)} characters; the maximum is {limit} ({name})")


def _require_storable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidValueError(
            f"contains a lone surrogate at character {error.start}, which is not Unicode text"
        ) from None


class _NestedValueError(InvalidValueError):
    """An invalid value inside a JSON object, with the keys that lead to it, innermost first."""

    def __init__(self, reason: str, keys: tuple[object, ...]) -> None:
        super().__init__(reason)
        self.keys = keys

    def path(self) -> str:
        return "[" + "][".join(_shown_key(key) for key in reversed(self.keys)) + "]"


def _shown_key(key: object) -> str:
    return ascii(key[:60] if isinstance(key, str) else key)[:60]


class _TooLongError(Exception):
    """The text of a JSON object would be too long, whichever value exceeded the limit."""


@attrs.define
class _TextBudget:
    """How many more characters the text of an object may have.

    It undercounts the text, so that no object within the limit is rejected. But every occurrence of a value counts: a
    few lists, each repeated in the next, make an endless text.
    """

    left: int = MAX_JSON_CHARACTERS

    def spend(self, characters: int) -> None:
        self.left -= characters
        if self.left < 0:
            raise _TooLongError


def _require_object(value: object) -> dict[Any, object]:
    if not issubclass(type(value), dict):
        raise InvalidValueError(f"must be a JSON object, not {describe(value)}")
    return cast(dict[Any, object], value)


def _plain_json(value: object, depth: int, budget: _TextBudget) -> Any:
    """Return the value in plain values; ``depth`` is the depth of a list or object."""
    value = plain(value)
    pairs: Iterable[tuple[object, object]]
    if isinstance(value, dict):
        pairs = _json_members(value, budget).items()
    elif isinstance(value, list):
        pairs = enumerate(list.copy(value))
    else:
        return _json_leaf(value, budget)
    if depth > MAX_JSON_DEPTH:
        raise InvalidValueError(f"is nested deeper than {MAX_JSON_DEPTH} levels (max_json_depth)")
    parts: dict[object, object] = {}
    for key, item in pairs:
        try:
            parts[key] = _plain_json(item, depth + 1, budget)
        except InvalidValueError as error:
            inner = error.keys if isinstance(error, _NestedValueError) else ()
            raise _NestedValueError(str(error), (*inner, key)) from None
    budget.spend(1 + len(parts))
    return parts if isinstance(value, dict) else list(parts.values())


def _json_members(value: dict[Any, object], budget: _TextBudget) -> dict[str, object]:
    named = _named(value)
    names = "".join(named)
    budget.spend(len(names))
    if not names.isascii():
        for name in named:
            _require_storable(name)
    return named


def _json_leaf(leaf: object, budget: _TextBudget) -> object:
    match leaf:
        case str():
            budget.spend(len(leaf))
            if not leaf.isascii():
                _require_storable(leaf)
        case None | bool():
            pass
        case int():
            if abs(leaf) >= JSON_INTEGER_BOUND:
                raise InvalidValueError(
                    f"contains an integer of more than {MAX_JSON_INTEGER_DIGITS} digits (max_json_integer_digits)"
                )
        case float():
            if not math.isfinite(leaf):
                raise InvalidValueError("contains NaN, Infinity or a number beyond a double's range")
        case _:
            raise InvalidValueError(f"contains {describe(leaf)}, which is not JSON")
    return leaf
