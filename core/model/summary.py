"""A run without its long texts and JSON objects: what lists and trees show of it."""

import json
from collections.abc import Iterable, Mapping
from math import fsum
from typing import Final, TypeGuard

import attrs

from core.model.run import (
    FIELDS,
    CommitHash,
    CommitSource,
    Count,
    EventId,
    Name,
    Run,
    Status,
    Text,
    Timestamp,
    count_bytes,
)

METRICS: Final = (
    "cost_usd",
    "total_tokens",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
"""The members of ``metrics_json`` that a summary keeps and a rollup adds up."""

MAX_METRIC: Final = 2**53
"""The largest magnitude of a metric, so that sums are exact for integers and never infinite.

A member that is not a number, or beyond it, counts as not reported.
"""

MAX_ERROR_CHARACTERS: Final = 1000
"""How much of ``error_summary`` a summary keeps."""

LEFT_OUT: Final = frozenset(
    {"input_summary", "output_summary", "error_details", "metrics_json", "context_json", "extra"}
)
"""The fields of a run that its summary lacks. Its metrics are kept apart."""

Metrics = Mapping[str, float]
"""Numbers by name, integers among them; only those reported."""


@attrs.define(unsafe_hash=False)
class RunSummary:
    """A run without ``LEFT_OUT``, with the first ``MAX_ERROR_CHARACTERS`` of ``error_summary``.

    ``metrics`` are those of ``METRICS`` that the run reports. Treat it as immutable; it is not frozen for the same
    reason as ``Run``. The order of the fields is the order of ``Run``.
    """

    event_id: EventId
    run_id: Name
    agent_name: Name
    job_type: Name
    start_time: Timestamp
    created_at: Timestamp
    updated_at: Timestamp
    status: Status
    parent_run_id: Text | None
    product: Text | None
    product_family: Text | None
    platform: Text | None
    subdomain: Text | None
    website: Text | None
    website_section: Text | None
    item_name: Text | None
    git_repo: Text | None
    git_branch: Text | None
    end_time: Timestamp | None
    duration_ms: Count | None
    items_discovered: Count | None
    items_succeeded: Count | None
    items_failed: Count | None
    items_skipped: Count | None
    error_summary: Text | None
    commit_hash: CommitHash | None
    commit_source: CommitSource | None
    commit_author: Text | None
    commit_timestamp: Timestamp | None
    metrics: Metrics


SUMMARY_FIELDS: Final = tuple(name for name in FIELDS if name not in LEFT_OUT)
"""The fields of a run that its summary has."""

SUMMARY_TEXTS: Final = tuple(
    field.name for field in attrs.fields(Run) if field.name in SUMMARY_FIELDS and field.type in (Name, Text | None)
)
"""The fields of a summary without a length limit of their own; ``error_summary`` is shortened."""


def reported_metrics(members: Iterable[tuple[str, object]]) -> Metrics:
    """Return those of the members of ``metrics_json`` that are ``METRICS`` and count as reported."""
    return {name: value for name, value in members if name in METRICS and is_metric(value)}


def is_metric(value: object) -> TypeGuard[float]:
    """Return whether a member of ``metrics_json`` is a number that counts as reported."""
    # True is an integer to Python, but not to JSON.
    return type(value) in (int, float) and -MAX_METRIC <= value <= MAX_METRIC  # type: ignore[operator]


def shorten_error(error_summary: Text | None) -> Text | None:
    """Return as much of ``error_summary`` as a summary keeps."""
    return error_summary and Text(error_summary[:MAX_ERROR_CHARACTERS])


def summarize(run: Run) -> RunSummary:
    """Return the summary of a run."""
    values = {name: getattr(run, name) for name in SUMMARY_FIELDS}
    members = json.loads(run.metrics_json).items() if run.metrics_json else ()
    return RunSummary(**values | {"error_summary": shorten_error(run.error_summary)}, metrics=reported_metrics(members))


def add_up(values: Iterable[float]) -> float:
    """Return the sum of metrics: an integer if it is whole."""
    return plain_number(fsum(values))


def plain_number(number: float) -> float:
    """Return the number, as an integer if it is whole and small enough to be exact."""
    return int(number) if number.is_integer() and abs(number) <= MAX_METRIC else number


def count_summary_bytes(summary: RunSummary) -> int:
    """Return the number of UTF-8 bytes in ``SUMMARY_TEXTS``; the other fields add a few hundred."""
    return count_bytes("".join([text for name in SUMMARY_TEXTS if (text := getattr(summary, name))]))
