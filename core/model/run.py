"""A run: one launch, worker, gate or model call.

Names match the wire (the contract, "A run"), so that each word has one meaning everywhere.
"""

from collections.abc import Sequence
from enum import StrEnum
from operator import attrgetter
from typing import Final, NewType, TypedDict

import attrs

EventId = NewType("EventId", str)
"""The idempotency key: 1 to 255 characters."""

Text = NewType("Text", str)
"""Any Unicode text without NUL and without lone surrogates."""

Name = NewType("Name", str)
"""A ``Text`` that is not empty."""

Count = NewType("Count", int)
"""An integer from 0 to 2^63 - 1. Durations are counts of milliseconds."""

Timestamp = NewType("Timestamp", str)
"""An instant in UTC, always written ``YYYY-MM-DDTHH:MM:SS.ffffffZ`` (27 characters): text order is time order."""

WHOLE_SECOND: Final = ".000000Z"
"""The ending of a timestamp of a whole second."""


def shown_time(time: Timestamp) -> str:
    """Return a timestamp as responses and messages show it: without a fraction if it is a whole second."""
    return time.replace(WHOLE_SECOND, "Z")


CommitHash = NewType("CommitHash", str)
"""7 to 40 hexadecimal digits, case preserved."""


class JsonText(str):
    """A JSON object as canonical text: sorted keys, no whitespace. Equal objects have equal texts.

    A separate class, so that an encoder can tell a JSON object from a string.
    """

    __slots__ = ()


class Status(StrEnum):
    """The state of a run."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILURE = "failure"
    PARTIAL = "partial"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


class CommitSource(StrEnum):
    """Who associated the commit with the run."""

    MANUAL = "manual"
    LLM = "llm"
    CI = "ci"


@attrs.define(unsafe_hash=True)
class Run:
    """One run with every field of the contract; an optional field that was not given is ``None``.

    Treat it as immutable: to change a run, create a new one. It is not frozen, because frozen instances take four
    times as long to create, which is a large part of the cost of a batch.

    The values have passed ``core.validation.fields``; ``created_at`` and ``updated_at`` are set by the store.
    The order of the fields is the order of the stored columns.
    """

    event_id: EventId
    run_id: Name
    agent_name: Name
    job_type: Name
    start_time: Timestamp
    created_at: Timestamp
    updated_at: Timestamp
    status: Status = Status.RUNNING
    parent_run_id: Text | None = None
    product: Text | None = None
    product_family: Text | None = None
    platform: Text | None = None
    subdomain: Text | None = None
    website: Text | None = None
    website_section: Text | None = None
    item_name: Text | None = None
    git_repo: Text | None = None
    git_branch: Text | None = None
    end_time: Timestamp | None = None
    duration_ms: Count | None = None
    items_discovered: Count | None = None
    items_succeeded: Count | None = None
    items_failed: Count | None = None
    items_skipped: Count | None = None
    input_summary: Text | None = None
    output_summary: Text | None = None
    error_summary: Text | None = None
    error_details: Text | None = None
    metrics_json: JsonText | None = None
    context_json: JsonText | None = None
    commit_hash: CommitHash | None = None
    commit_source: CommitSource | None = None
    commit_author: Text | None = None
    commit_timestamp: Timestamp | None = None
    extra: JsonText | None = None


LONG_TEXTS: tuple[str, ...] = tuple(
    field.name for field in attrs.fields(Run) if field.type in (Name, Text | None, JsonText | None)
)
"""The fields bounded only by ``max_text_characters`` and ``max_json_characters``."""

_long_texts = attrgetter(*LONG_TEXTS)


def count_text_bytes(run: Run) -> int:
    """Return the number of UTF-8 bytes in a run's long texts; its other fields add a few hundred."""
    return count_bytes("".join(filter(None, _long_texts(run))))


def count_bytes(text: str) -> int:
    """Return the length of the text in UTF-8 bytes."""
    return len(text) if text.isascii() else len(text.encode())


class RunChanges(TypedDict, total=False):
    """The fields to change. An absent key leaves its field unchanged; ``None`` clears it."""

    status: Status
    end_time: Timestamp | None
    duration_ms: Count | None
    items_discovered: Count | None
    items_succeeded: Count | None
    items_failed: Count | None
    items_skipped: Count | None
    input_summary: Text | None
    output_summary: Text | None
    error_summary: Text | None
    error_details: Text | None
    metrics_json: JsonText | None
    context_json: JsonText | None


@attrs.frozen
class Commit:
    """The commit a run led to; fields as in ``Run``."""

    commit_hash: CommitHash
    commit_source: CommitSource
    commit_author: Text | None = None
    commit_timestamp: Timestamp | None = None


FIELDS: tuple[str, ...] = tuple(field.name for field in attrs.fields(Run))

SERVER_FIELDS = frozenset({"created_at", "updated_at"})
"""Set by the store only; values sent by clients are ignored."""

FIXED_FIELDS: tuple[str, ...] = tuple(
    name
    for name in FIELDS
    if name not in SERVER_FIELDS
    and name not in RunChanges.__optional_keys__
    and name not in {field.name for field in attrs.fields(Commit)}
)
"""The immutable fields: those that neither an update nor a commit association can change."""

CLIENT_FIELDS: tuple[str, ...] = tuple(name for name in FIELDS if name not in SERVER_FIELDS)
"""The fields that clients set."""

_fixed_values = attrgetter(*FIXED_FIELDS)
_client_values = attrgetter(*CLIENT_FIELDS)


def differing_fixed_fields(sent: Run, stored: Run) -> tuple[str, ...]:
    """Return the immutable fields in which two runs with the same ``event_id`` differ."""
    return _differing(FIXED_FIELDS, _fixed_values(sent), _fixed_values(stored))


def differing_client_fields(sent: Run, stored: Run) -> tuple[str, ...]:
    """Return all fields, apart from the server's own, in which two runs with the same ``event_id`` differ."""
    return _differing(CLIENT_FIELDS, _client_values(sent), _client_values(stored))


def _differing(names: Sequence[str], sent: Sequence[object], stored: Sequence[object]) -> tuple[str, ...]:
    if sent == stored:
        return ()
    return tuple(name for name, ours, theirs in zip(names, sent, stored, strict=True) if ours != theirs)
