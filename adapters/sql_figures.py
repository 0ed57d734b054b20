"""Statistics and facets in SQL, shared by all SQL stores. Only sums over runs leave the database."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import attrs

from core.model.run import Count, Status, Timestamp
from core.model.statistics import (
    MAX_FACET_BYTES,
    Bucket,
    Durations,
    FacetField,
    Facets,
    FacetsRequest,
    FacetValue,
    Statistics,
    StatisticsRequest,
    bucket_start,
)
from core.model.summary import Metrics, plain_number

Query = Callable[[str], Sequence[tuple[Any, ...]]]
"""Executes a statement with the bindings of the source."""

_PERCENTILES: Final = (50, 95)


@attrs.frozen
class MetricsSql:
    """SQL for the members of ``metrics_json``.

    ``member`` makes SQL for one of a row's members: a number, or NULL if it does not count as reported. ``rows`` makes
    what follows ``FROM`` into one that has what ``member`` and the number of the bucket refer to.
    """

    member: Callable[[str], str]
    rows: Callable[[str], str]


@attrs.frozen
class Source:
    """The runs that match, among those examined.

    ``sql`` is what follows ``FROM``; it ends with a condition. ``since`` is the start of the last run examined if
    others follow.
    """

    sql: str
    query: Query
    examined: int
    since: Timestamp | None


def compute_statistics(source: Source, request: StatisticsRequest, bucket: str, metrics: MetricsSql) -> Statistics:
    """Return the statistics of a source; ``bucket`` is SQL for the number of a run's bucket."""
    counts, more = _counts(source, request, bucket)
    if not counts:
        return Statistics(request.bucket_seconds, (), source.examined, source.since is None, source.since)
    since = bucket_start(min(counts), request.bucket_seconds) if more else source.since
    kept = f"{source.sql} AND {bucket} >= {min(counts)}"
    durations, sums = _durations(source, kept, bucket), _sums(source, kept, request, bucket, metrics)
    buckets = tuple(
        Bucket(bucket_start(number, request.bucket_seconds), runs, durations.get(number), sums.get(number, {}))
        for number, runs in counts.items()
    )
    return Statistics(request.bucket_seconds, buckets, source.examined, since is None, since)


def compute_facets(source: Source, request: FacetsRequest) -> Facets:
    """Return the facets of a source."""
    values = {field: _most_frequent(source, field, request.max_values) for field in request.fields}
    return Facets(values, source.examined, source.since is None)


def _most_frequent(source: Source, field: FacetField, most: int) -> tuple[FacetValue, ...]:
    sql = (
        f"SELECT {field}, count(*) FROM {source.sql} AND octet_length({field}) <= {MAX_FACET_BYTES} "
        f"GROUP BY {field} ORDER BY count(*) DESC, {field} LIMIT {most}"
    )
    return tuple(FacetValue(*row) for row in source.query(sql))


def _counts(source: Source, request: StatisticsRequest, bucket: str) -> tuple[Mapping[int, Mapping[Status, int]], bool]:
    """Return the number of runs of each status in the newest buckets, and whether there are more buckets."""
    # A bucket has at most one row per status.
    limit = (request.max_buckets + 1) * len(Status)
    sql = f"SELECT {bucket}, status, count(*) FROM {source.sql} GROUP BY 1, 2 ORDER BY 1 DESC LIMIT {limit}"
    counts: dict[int, dict[Status, int]] = defaultdict(dict)
    for number, status, runs in source.query(sql):
        counts[number][Status(status)] = runs
    return dict(islice(counts.items(), request.max_buckets)), len(counts) > request.max_buckets


def _durations(source: Source, kept: str, bucket: str) -> Mapping[int, Durations]:
    places = [f"max(CASE WHEN place = (runs * {share} + 99) / 100 THEN duration_ms END)" for share in _PERCENTILES]
    sql = (
        f"SELECT bucket, {', '.join(places)} FROM ("
        f"SELECT {bucket} AS bucket, duration_ms, count(*) OVER (PARTITION BY {bucket}) AS runs, "
        f"row_number() OVER (PARTITION BY {bucket} ORDER BY duration_ms) AS place "
        f"FROM {kept} AND duration_ms IS NOT NULL) AS placed GROUP BY bucket"
    )
    return {number: Durations(Count(p50), Count(p95)) for number, p50, p95 in source.query(sql)}


def _sums(
    source: Source, kept: str, request: StatisticsRequest, bucket: str, metrics: MetricsSql
) -> Mapping[int, Metrics]:
    if not request.metrics:
        return {}
    # As doubles, because a sum of integers may exceed 64 bits.
    sums = [f"sum(1.0 * {metrics.member(name)})" for name in request.metrics]
    sql = f"SELECT {bucket}, {', '.join(sums)} FROM {metrics.rows(kept)} GROUP BY 1"
    return {
        number: {
            name: plain_number(float(total))
            for name, total in zip(request.metrics, totals, strict=True)
            if total is not None
        }
        for number, *totals in source.query(sql)
    }
