"""Figures over many runs: statistics by time, and the most frequent values of fields."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

import attrs

from core.model.run import Count, Status, Timestamp
from core.model.summary import Metrics

MAX_BUCKET_SECONDS: Final = 366 * 24 * 3600

MAX_FACET_BYTES: Final = 20 * 1024
"""The maximum length of a value that facets count, in bytes of UTF-8; nobody filters by a longer one."""

MAX_STATISTICS_METRICS: Final = 8
"""How many metrics one request may sum up; each is another look into ``metrics_json``."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_SECOND: Final = int((datetime(1, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds())


@attrs.frozen(kw_only=True)
class StatisticsRequest:
    """How wide the buckets are, which members of ``metrics_json`` to sum, and how much to examine at most.

    Buckets begin at multiples of ``bucket_seconds`` since 1970 in UTC.
    """

    bucket_seconds: int
    metrics: Sequence[str] = ()
    max_runs: int
    max_buckets: int


@attrs.frozen
class Durations:
    """The median and the 95th percentile in milliseconds: the smallest durations that so many do not exceed."""

    p50: Count
    p95: Count


@attrs.frozen
class Bucket:
    """The runs that start in one stretch of time, from ``start`` on; there is at least one.

    ``runs`` has the number of runs of each status that occurs. ``duration_ms`` is ``None`` if no run has a duration.
    ``metrics`` are sums over the runs that report them; those that none reports are missing.
    """

    start: Timestamp
    runs: Mapping[Status, int]
    duration_ms: Durations | None
    metrics: Metrics


def bucket_start(number: int, bucket_seconds: int) -> Timestamp:
    """Return where a bucket begins, given how many begin between 1970 and it; the first ones begin with year 1."""
    start = _EPOCH + timedelta(seconds=max(number * bucket_seconds, _FIRST_SECOND))
    return Timestamp(f"{start.replace(tzinfo=None).isoformat(timespec='microseconds')}Z")


@attrs.frozen
class Statistics:
    """The buckets that have runs, newest first.

    ``examined`` is the number of runs examined, newest first, whether they match or not (``TESTED_PARTS``). Unless the
    figures are ``complete``, they lack what starts before ``since``: that is the start of the last run examined, or of
    the oldest bucket if there would be too many. Of several runs that start with the last one examined, they may lack
    some.
    """

    bucket_seconds: int
    buckets: tuple[Bucket, ...]
    examined: int
    complete: bool
    since: Timestamp | None = None


class FacetField(StrEnum):
    """The fields whose values can be counted."""

    STATUS = "status"
    AGENT_NAME = "agent_name"
    JOB_TYPE = "job_type"
    PRODUCT = "product"
    GIT_REPO = "git_repo"


@attrs.frozen(kw_only=True)
class FacetsRequest:
    """Which fields, how many values of each, and how many runs to examine at most."""

    fields: Sequence[FacetField]
    max_runs: int
    max_values: int


@attrs.frozen
class FacetValue:
    """A value of a field, and the number of runs that have it."""

    value: str
    runs: int


@attrs.frozen
class Facets:
    """The most frequent values of each field, most frequent first, equally frequent ones by code point.

    Runs without a value, or with one over ``MAX_FACET_BYTES``, are not counted. ``examined`` and
    ``complete`` as in ``Statistics``.
    """

    values: Mapping[FacetField, tuple[FacetValue, ...]]
    examined: int
    complete: bool
