"""Runs as the core stores them and as clients send them. Nothing here uses the product."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from hypothesis import strategies as st

from core.model.run import CommitHash, CommitSource, Count, EventId, JsonText, Name, Run, Status, Text, Timestamp

REQUIRED_TEXTS: Final = ("run_id", "agent_name", "job_type")
OPTIONAL_TEXTS: Final = (
    "parent_run_id",
    "product",
    "product_family",
    "platform",
    "subdomain",
    "website",
    "website_section",
    "item_name",
    "git_repo",
    "git_branch",
    "input_summary",
    "output_summary",
    "error_summary",
    "error_details",
    "commit_author",
)
COUNTS: Final = ("duration_ms", "items_discovered", "items_succeeded", "items_failed", "items_skipped")
TIMESTAMPS: Final = ("start_time", "end_time", "commit_timestamp")
OBJECTS: Final = ("metrics_json", "context_json", "extra")
STATUSES: Final[Mapping[str, str]] = {
    "running": "running",
    "success": "success",
    "failure": "failure",
    "partial": "partial",
    "timeout": "timeout",
    "cancelled": "cancelled",
    "failed": "failure",
    "completed": "success",
    "succeeded": "success",
}
"""A value as sent, and as stored."""


def texts(**lengths: int) -> st.SearchStrategy[str]:
    """Generate Unicode text without NUL and without lone surrogates."""
    return st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), **lengths)


def json_texts() -> st.SearchStrategy[str]:
    """Generate text inside a JSON object, where NUL is allowed."""
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def json_values() -> st.SearchStrategy[Any]:
    """Generate JSON that can be returned exactly."""
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from([2**53 + 1, 2**63, -(2**63) - 1, 2**64, 10**40]),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from([1e16, 1e-7, -0.0, 5e-324, 1.7976931348623157e308, 0.1]),
        json_texts(),
    )
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(json_texts(), inner, max_size=4),
        max_leaves=8,
    )


def json_objects() -> st.SearchStrategy[dict[str, Any]]:
    """Generate JSON objects that can be stored."""
    return st.dictionaries(json_texts(), json_values(), max_size=5)


def canonical(value: object) -> str:
    """Return a unique text for a JSON value, types included: ``1``, ``1.0`` and ``true`` differ."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def kept_timestamp(instant: datetime) -> str:
    """Return the stored form of an instant given in UTC without an offset."""
    date = f"{instant.year:04}-{instant.month:02}-{instant.day:02}"
    return f"{date}T{instant.hour:02}:{instant.minute:02}:{instant.second:02}.{instant.microsecond:06}Z"


def kept_timestamps() -> st.SearchStrategy[Timestamp]:
    """Generate instants in their stored form."""
    return st.datetimes().map(lambda instant: Timestamp(kept_timestamp(instant)))


def kept_runs() -> st.SearchStrategy[Run]:
    """Generate runs that the core could pass to a store."""
    text = texts(max_size=20).map(Text)
    maybe_text = st.none() | text
    maybe_count = st.none() | st.integers(0, 2**63 - 1).map(Count)
    maybe_time = st.none() | kept_timestamps()
    maybe_object = st.none() | json_objects().map(lambda value: JsonText(canonical(value)))
    return st.builds(
        Run,
        event_id=texts(min_size=1, max_size=255).map(EventId),
        **dict.fromkeys(REQUIRED_TEXTS, texts(min_size=1, max_size=20).map(Name)),
        **dict.fromkeys(("start_time", "created_at", "updated_at"), kept_timestamps()),
        **dict.fromkeys(OPTIONAL_TEXTS, maybe_text),
        **dict.fromkeys(COUNTS, maybe_count),
        **dict.fromkeys(("end_time", "commit_timestamp"), maybe_time),
        **dict.fromkeys(OBJECTS, maybe_object),
        status=st.sampled_from(Status),
        commit_hash=st.none() | commit_hashes().map(CommitHash),
        commit_source=st.none() | st.sampled_from(CommitSource),
    )


def commit_hashes() -> st.SearchStrategy[str]:
    """Generate 7 to 40 hexadecimal digits of either case."""
    return st.text("0123456789abcdefABCDEF", min_size=7, max_size=40)


@st.composite
def sent_timestamps(draw: st.DrawFn) -> str:
    """Generate ISO 8601 timestamps with any offset and precision, in the extended form."""
    local = draw(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 12, 31)))  # noqa: DTZ001
    separator = draw(st.sampled_from("T "))
    fraction = f"{local.microsecond:06}"[: draw(st.sampled_from([0, 3, 6]))]
    minutes = draw(st.none() | st.integers(-24 * 60 + 1, 24 * 60 - 1))
    text = f"{local.year:04}-{local.month:02}-{local.day:02}{separator}{local.hour:02}:{local.minute:02}"
    seconds = f":{local.second:02}" + (f".{fraction}" if fraction else "")
    return text + seconds + _offset(minutes)


def _offset(minutes: int | None) -> str:
    if minutes is None:
        return "Z"
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def expected_utc(text: str) -> str:
    """Return the stored form of a timestamp from ``sent_timestamps``, by plain arithmetic."""
    year, month, day = int(text[:4]), int(text[5:7]), int(text[8:10])
    rest = text[19:]
    zone_at = max(rest.rfind("Z"), rest.rfind("+"), rest.rfind("-"))
    digits, zone = rest[1:zone_at], rest[zone_at:]
    local = datetime(  # noqa: DTZ001 - the offset is worked in by hand
        year, month, day, int(text[11:13]), int(text[14:16]), int(text[17:19]), int(digits.ljust(6, "0") or "0")
    )
    if zone == "Z":
        return kept_timestamp(local)
    shift = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
    return kept_timestamp(local - shift if zone[0] == "+" else local + shift)


def sent_runs(keys: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[dict[str, Any]]:
    """Generate valid runs as a client sends them, with any of the optional fields."""
    maybe_text = st.none() | texts(max_size=12)
    required = {
        "event_id": texts(min_size=1, max_size=255) if keys is None else keys,
        **dict.fromkeys(REQUIRED_TEXTS, texts(min_size=1, max_size=12)),
        "start_time": sent_timestamps(),
    }
    optional = {
        "status": st.none() | st.sampled_from(sorted(STATUSES)),
        **dict.fromkeys(OPTIONAL_TEXTS, maybe_text),
        **dict.fromkeys(COUNTS, st.none() | st.integers(0, 2**63 - 1)),
        **dict.fromkeys(("end_time", "commit_timestamp"), st.none() | sent_timestamps()),
        **dict.fromkeys(OBJECTS, st.none() | json_objects()),
        "commit_hash": st.none() | commit_hashes(),
        "commit_source": st.none() | st.sampled_from(["manual", "llm", "ci"]),
        "created_at": json_values(),
        "updated_at": json_values(),
        "shard": json_values(),
        "gpu": json_values(),
    }
    return st.fixed_dictionaries(required, optional=optional).filter(_extra_is_unambiguous)


def _extra_is_unambiguous(sent: dict[str, Any]) -> bool:
    """Return whether no field is sent both at the top level and in ``extra``."""
    return not {"shard", "gpu"} & (sent.get("extra") or {}).keys()
