"""JSON texts that are nearly runs, built by hand so that no encoder normalises them."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from hypothesis import strategies as st

from tests.properties.strategies import COUNTS, OBJECTS, OPTIONAL_TEXTS, TIMESTAMPS, json_objects, json_values, texts

REQUIRED: Final = (
    ("event_id", '"e"'),
    ("run_id", '"r"'),
    ("agent_name", '"a"'),
    ("job_type", '"j"'),
    ("start_time", '"2026-01-31T12:00:00Z"'),
)

NUMBERS: Final = (
    *("0", "-0", "-0.0", "1.0", "1e2", "1E+2", "1e16", "1e-7", "1e22", "1e23", "5e-324", "1e-400", "1e400", "-1e400"),
    *("0.1", "2.675", "123456789012345678901234567890", "9007199254740993.0", "1.7976931348623159e308"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551616"),
    *("9" * 4300, "-" + "9" * 4299, "-" + "9" * 4300, "9" * 4301, "0." + "1" * 400, "1" * 400 + ".5"),
    *("01", "1.", ".5", "+1", "-", "1e", "0x1", "NaN", "Infinity", "-Infinity", "nan"),
)
STRINGS: Final = (
    *(r'"\u0000"', r'"\ud800"', r'"\udc00\ud800"', r'"\ud83d\ude00"', r'"\/"', r'"\\u0000"', r'"\u00e9"', r'"\x"'),
    *('"\x01"', '"\x7f"', '"\n"', '"\u2028"', '"\ufeff"', '"\ufffe"', '"\U0010ffff"', '""', '"', "'a'"),
    *('"2026-01-31T12:00:00Z"', '"running"', '"failed"', '"FAILED"', '"ci"', '"abcdef1"', '"\uff11\uff12"'),
)
OTHERS: Final = (
    "null",
    "true",
    "false",
    "[]",
    "{}",
    '{"a":1,"a":2}',
    '{"b":{"d":1,"c":2},"a":[]}',
    "[1,]",
    '{"a":1,}',
    "",
)


def _nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def _lists_in(depth: int) -> str:
    return '{"a":' + "[" * depth + "]" * depth + "}"


def raw_values() -> st.SearchStrategy[str]:
    """Generate the text of any value, and some that is not JSON."""
    spelled = st.builds(json.dumps, json_values() | texts(max_size=8), ensure_ascii=st.booleans())
    in_object = st.sampled_from(NUMBERS + STRINGS).map('{{"a":{}}}'.format)
    depths = st.sampled_from([2, 98, 99, 100, 101, 102, 500, 980, 1000, 20_000])
    return st.one_of(
        spelled,
        st.builds(json.dumps, json_objects()),
        st.sampled_from(NUMBERS),
        st.sampled_from(STRINGS),
        st.sampled_from(OTHERS),
        in_object,
        depths.map(_nested),
        depths.map(_lists_in),
        iso_forms().map(lambda form: json.dumps(form[0])),
    )


@st.composite
def raw_runs(draw: st.DrawFn) -> bytes:
    """Generate valid runs with some fields added, repeated or replaced by nearly anything."""
    fields = draw(st.lists(st.tuples(_names(), raw_values()), max_size=4))
    at_times = draw(st.lists(st.tuples(st.sampled_from(TIMESTAMPS), iso_forms()), max_size=2))
    spelled = [(name, json.dumps(form[0])) for name, form in at_times]
    members = draw(st.permutations([*REQUIRED, *spelled, *fields]))
    return _spell(members, draw(st.sampled_from(["", " ", "\n", "\t", "\r\n", "\x0c", "\ufeff"])))


def _names() -> st.SearchStrategy[str]:
    named = ("event_id", "run_id", "status", "commit_hash", "commit_source", "created_at", "updated_at")
    return st.sampled_from([*named, *OPTIONAL_TEXTS[:3], *COUNTS[:2], *TIMESTAMPS, *OBJECTS]) | st.just("unknown")


def _spell(members: Sequence[tuple[str, str]], blank: str) -> bytes:
    inner = ",".join(f'{blank}"{name}"{blank}:{value}' for name, value in members)
    return f"{blank}{{{inner}{blank}}}".encode("utf-8", "surrogatepass")


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Generate bytes of which a few are missing, duplicated or changed."""
    body = bytearray(draw(whole))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(body)


@st.composite
def iso_forms(draw: st.DrawFn) -> tuple[str, datetime]:
    """Generate instants in some form of ISO 8601, or nearly, and in UTC (truncated to microseconds)."""
    local = draw(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 12, 30)))  # noqa: DTZ001
    time, local = draw(st.sampled_from(_TIMES))(local)
    date = draw(st.sampled_from(_DATES))(local)
    zone, offset = draw(st.sampled_from(_ZONES))
    text = date + draw(st.sampled_from(["T", "T", "T", "T", " ", "t", "_", "\u2003", ""])) + time + zone
    return text, local - offset


def _basic(local: datetime) -> str:
    return f"{local.year:04}{local.month:02}{local.day:02}"


def _week(local: datetime) -> str:
    year, week, day = local.isocalendar()
    return f"{year:04}-W{week:02}-{day}"


_DATES: Final = (
    *[lambda local: f"{local.year:04}-{local.month:02}-{local.day:02}"] * 4,
    _basic,
    _week,
    lambda local: _week(local).replace("-", ""),
    lambda local: f"{local.year:04}-{local.timetuple().tm_yday:03}",
    lambda local: f"+00{local.year:04}-{local.month:02}-{local.day:02}",
)


def _clock_time(local: datetime) -> str:
    return f"{local.hour:02}:{local.minute:02}:{local.second:02}"


def _fraction(mark: str, digits: int) -> Any:
    def spell(local: datetime) -> tuple[str, datetime]:
        shown = f"{local.microsecond:06}789"[:digits]
        return f"{_clock_time(local)}{mark}{shown}", local.replace(microsecond=int(shown[:6].ljust(6, "0")))

    return spell


_TIMES: Final[tuple[Any, ...]] = (
    *(_fraction(".", digits) for digits in (1, 2, 3, 6, 6, 6, 7, 9)),
    *(_fraction(",", digits) for digits in (3, 6)),
    lambda local: (_clock_time(local), local.replace(microsecond=0)),
    lambda local: (_clock_time(local).replace(":", ""), local.replace(microsecond=0)),
    lambda local: (f"{_clock_time(local).replace(':', '')}.{local.microsecond:06}", local),
    lambda local: (f"{local.hour:02}:{local.minute:02}", local.replace(second=0, microsecond=0)),
    lambda local: (f"{local.hour:02}", local.replace(minute=0, second=0, microsecond=0)),
)
_ZONES: Final = (
    *[("Z", timedelta())] * 4,
    *[("+00:00", timedelta())] * 2,
    ("-00:00", timedelta()),
    ("z", timedelta()),
    ("+0000", timedelta()),
    ("+02", timedelta(hours=2)),
    ("-0330", timedelta(hours=-3, minutes=-30)),
    ("+23:59", timedelta(hours=23, minutes=59)),
    ("-23:59", timedelta(hours=-23, minutes=-59)),
    ("+01:60", timedelta(hours=2)),
    ("+01:02:03", timedelta(hours=1, minutes=2, seconds=3)),
    ("-01:02:03.000004", timedelta(hours=-1, minutes=-2, seconds=-3, microseconds=-4)),
    ("+00:00:00.000000", timedelta()),
)
