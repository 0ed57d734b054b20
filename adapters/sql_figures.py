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
class FiguresSql:
    """The terms of statistics that differ between databases.

    ``member`` makes SQL for a member of a row's ``metrics_json``: a number, or NULL if it does not count as reported.
    ``rows`` makes what follows ``FROM`` into one that has what ``member`` and the number of the bucket refer to.
    ``percentiles`` makes the statement that returns, for each bucket, its number and these percentiles of
    ``duration_ms`` by nearest rank, from SQL for the bucket and what follows ``FROM``, which leaves out NULL.
    """

    member: Callable[[str], str]
    rows: Callable[[str], str]
    percentiles: Callable[[str, str, Sequence[int]], str]


def rank_of(percentile: int, count: str) -> str:
    """Return SQL for the nearest rank of a percentile, from 1, among so many values."""
    return f"({count} * {percentile} + 99) / 100"


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


def compute_statistics(source: Source, request: StatisticsRequest, bucket: str, sql: FiguresSql) -> Statistics:
    """Return the statistics of a source; ``bucket`` is SQL for the number of a run's bucket."""
    counts, more = _counts(source, request, bucket)
    if not counts:
        return Statistics(request.bucket_seconds, (), source.examined, source.since is None, source.since)
    since = bucket_start(min(counts), request.bucket_seconds) if more else source.since
    kept = f"{source.sql} AND {bucket} >= {min(counts)}"
    durations, sums = _durations(source, kept, bucket, sql), _sums(source, kept, request, bucket, sql)
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


def _durations(source: Source, kept: str, bucket: str, sql: FiguresSql) -> Mapping[int, Durations]:
    statement = sql.percentiles(bucket, f"{kept} AND duration_ms IS NOT NULL", _PERCENTILES)
    return {number: Durations(Count(p50), Count(p95)) for number, p50, p95 in source.query(statement)}


def _sums(source: Source, kept: str, request: StatisticsRequest, bucket: str, sql: FiguresSql) -> Mapping[int, Metrics]:
    if not request.metrics:
        return {}
    # As doubles, because a sum of integers may exceed 64 bits.
    sums = [f"sum(1.0 * {sql.member(name)})" for name in request.metrics]
    statement = f"SELECT {bucket}, {', '.join(sums)} FROM {sql.rows(kept)} GROUP BY 1"
    return {
        number: {
            name: plain_number(float(total))
            for name, total in zip(request.metrics, totals, strict=True)
            if total is not None
        }
        for number, *totals in source.query(statement)
    }
