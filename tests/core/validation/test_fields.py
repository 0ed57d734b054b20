"""The rules for single fields: the stored form, and the error messages."""

from collections.abc import Callable
from typing import Any

import pytest

from core.validation import fields as rules
from core.validation.fields import InvalidValueError

OBJECT = rules.parse_json_object
WORDS = "running, success, failure, partial, timeout, cancelled, failed, completed, succeeded"


@pytest.mark.parametrize(
    ("rule", "value", "kept"),
    [
        (rules.parse_text, "", ""),
        (rules.parse_text, "a\n\U0001f600", "a\n\U0001f600"),
        (rules.parse_name, " ", " "),
        (rules.parse_event_id, "\U0001f600" * 255, "\U0001f600" * 255),
        (rules.parse_count, 0, 0),
        (rules.parse_count, 2**63 - 1, 2**63 - 1),
        (rules.parse_status, "failed", "failure"),
        (rules.parse_status, "completed", "success"),
        (rules.parse_status, "succeeded", "success"),
        (rules.parse_status, "partial", "partial"),
        (rules.parse_commit_source, "llm", "llm"),
        (rules.parse_commit_hash, "ABCdef0", "ABCdef0"),
        (rules.parse_commit_hash, "0" * 40, "0" * 40),
        (rules.parse_timestamp, "2026-01-31T13:00:00+01:00", "2026-01-31T12:00:00.000000Z"),
        (rules.parse_timestamp, "2026-01-31T13:00:00+0130", "2026-01-31T11:30:00.000000Z"),
        (rules.parse_timestamp, "2026-01-31T13:00:00-23", "2026-02-01T12:00:00.000000Z"),
        (rules.parse_timestamp, "2026-01-31 12:00Z", "2026-01-31T12:00:00.000000Z"),
        (rules.parse_timestamp, "2026-01-31T12:00:00.1234569Z", "2026-01-31T12:00:00.123456Z"),
        (rules.parse_timestamp, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        (OBJECT, {}, {}),
        (OBJECT, {"a\0": ["\0", None, True, 2**200, 1.5, {}]}, {"a\0": ["\0", None, True, 2**200, 1.5, {}]}),
    ],
)
def test_good_values_are_kept(rule: Callable[[object], Any], value: object, kept: object) -> None:
    """Each rule returns the stored form of a valid value."""
    assert rule(value) == kept


@pytest.mark.parametrize(
    ("rule", "value", "reason"),
    [
        (rules.parse_text, 1, "must be text, not the integer 1"),
        (rules.parse_text, None, "must be text, not null"),
        (rules.parse_text, b"a", "must be text, not a Python bytes"),
        (rules.parse_text, "a\0", "contains a NUL character (U+0000), which text fields cannot hold; remove it"),
        (rules.parse_text, "ab\ud800", "contains a lone surrogate at character 2, which is not Unicode text"),
        (rules.parse_name, "", "must not be empty"),
        (rules.parse_event_id, "", "must have 1 to 255 characters (max_event_id_length), not 0"),
        (rules.parse_event_id, "x" * 256, "must have 1 to 255 characters (max_event_id_length), not 256"),
        (rules.parse_count, True, "must be an integer, not true"),
        (rules.parse_count, "12", "must be an integer, not '12'"),
        (rules.parse_count, 12.0, "must be an integer, not the number 12.0"),
        (rules.parse_count, -1, "must be from 0 to 9223372036854775807 (2^63 - 1)"),
        (rules.parse_count, 2**63, "must be from 0 to 9223372036854775807 (2^63 - 1)"),
        (
            rules.parse_status,
            "DONE",
            f"must be one of {WORDS}; not 'DONE'",
        ),
        (rules.parse_commit_source, [], "must be one of manual, llm, ci; not a list"),
        (rules.parse_commit_hash, "abcdef", "must be 7 to 40 hexadecimal digits, not 'abcdef'"),
        (rules.parse_commit_hash, "0" * 41, "must be 7 to 40 hexadecimal digits, not '" + "0" * 41 + "'"),
        (rules.parse_commit_hash, "abcdef1\n", "must be 7 to 40 hexadecimal digits, not 'abcdef1\\n'"),
        (rules.parse_timestamp, 0, "must be ISO 8601 text, not the integer 0"),
        (rules.parse_timestamp, "x", "is not an ISO 8601 date and time, such as 2026-01-31T12:00:00Z: 'x'"),
        (
            rules.parse_timestamp,
            "2026-01-31T12:00:00",
            "has no UTC offset; add one, as in 2026-01-31T12:00:00Z or \u2026+02:00",
        ),
        (
            rules.parse_timestamp,
            "2026-01-31",
            "is not an ISO 8601 date and time, such as 2026-01-31T12:00:00Z: '2026-01-31'",
        ),
        *(
            (
                rules.parse_timestamp,
                f"2026-01-31T12:00:00{offset}",
                f"has the invalid UTC offset '{offset}'; use Z or \u00b1HH:MM, up to 23:59",
            )
            for offset in ("+01:60", "-0099", "+24:00", "+24", "+01:00:00", "+010000", "+00:00:00.000001")
        ),
        (rules.parse_timestamp, "0001-01-01T00:00:00+01:00", "is outside the years 1 to 9999 in UTC"),
        (OBJECT, [], "must be a JSON object, not a list"),
        (OBJECT, {"a": [1, float("inf")]}, "contains NaN, Infinity or a number beyond a double's range (at ['a'][1])"),
        (OBJECT, {1: 2}, "has a key that is not text: the integer 1 (at the top level)"),
        (
            OBJECT,
            {"a": {"\ud800": 1}},
            "contains a lone surrogate at character 0, which is not Unicode text (at ['a'])",
        ),
        (OBJECT, {"a": (1,)}, "contains a Python tuple, which is not JSON (at ['a'])"),
        (OBJECT, {"a": 10**4300}, "contains an integer of more than 4300 digits (max_json_integer_digits) (at ['a'])"),
    ],
)
def test_bad_values_are_refused_with_a_reason(rule: Callable[[object], Any], value: object, reason: str) -> None:
    """Nothing is coerced, and each message completes a sentence that starts with the field's name."""
    with pytest.raises(InvalidValueError) as caught:
        rule(value)
    assert str(caught.value) == reason


def _nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


def test_objects_nest_to_a_hundred_levels() -> None:
    """The hundredth level is accepted and the next rejected."""
    assert OBJECT(_nested(100)) == _nested(100)
    with pytest.raises(InvalidValueError, match="is nested deeper than 100 levels"):
        OBJECT(_nested(101))


def test_an_object_that_holds_itself_is_refused() -> None:
    """A cycle is rejected at the depth limit."""
    cycle: dict[str, Any] = {}
    cycle["again"] = [cycle, cycle]
    with pytest.raises(InvalidValueError, match="nested deeper"):
        OBJECT(cycle)


def test_a_small_object_whose_text_has_no_end_is_refused() -> None:
    """Lists that occur several times in one another are counted once per occurrence."""
    value: list[object] = ["x"]
    for _ in range(60):
        value = [value, value]
    with pytest.raises(InvalidValueError, match=r"^has more than 1048576 characters \(max_json_characters\)$"):
        OBJECT({"a": value})


def test_an_object_of_the_greatest_length_is_taken() -> None:
    """Counting before the text is built rejects nothing that may be stored."""
    values = [1] * ((rules.MAX_JSON_CHARACTERS - len('{"a":[1]}')) // 2)
    assert OBJECT({"a": values}) == {"a": values}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("x" * 61, "'" + "x" * 60 + "' and 1 more characters"),
        ("\u00e9", "'\\xe9'"),
        (10**20, "a very long integer"),
        (-(10**19), "the integer -10000000000000000000"),
        (False, "false"),
        ({}, "an object"),
        (1.5, "the number 1.5"),
    ],
)
def test_values_are_described_in_the_words_of_json(value: object, words: str) -> None:
    """A description is short, printable and uses JSON's type names."""
    assert rules.describe(value) == words
