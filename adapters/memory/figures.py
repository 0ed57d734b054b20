"""Statistics and facets, computed run by run."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

from adapters.memory.matching import matches
from core.model.listing import RunFilter
from core.model.run import Count, Run, Timestamp, count_bytes
from core.model.statistics import (
    MAX_FACET_BYTES,
    Bucket,
    Durations,
    Facets,
    FacetsRequest,
    FacetValue,
    Statistics,
    StatisticsRequest,
    bucket_start,
)
from core.model.summary import Metrics, add_up, is_metric

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def statistics_of(examined: Sequence[Run], which: RunFilter, request: StatisticsRequest) -> Statistics:
    """Return the statistics of the matching runs, given all runs to examine, newest first."""
    runs = examined[: request.max_runs]
    buckets: dict[int, list[Run]] = defaultdict(list)
    for run in runs:
        if matches(run, which):
            buckets[_number(run.start_time, request.bucket_seconds)].append(run)
    kept = [
        _bucket(bucket_start(number, request.bucket_seconds), members, request.metrics)
        for number, members in islice(buckets.items(), request.max_buckets)
    ]
    since = runs[-1].start_time if len(runs) < len(examined) else None
    if len(kept) < len(buckets):
        since = kept[-1].start
    return Statistics(request.bucket_seconds, tuple(kept), len(runs), since is None, since)


def facets_of(examined: Sequence[Run], which: RunFilter, request: FacetsRequest) -> Facets:
    """Return the facets of the matching runs, given all runs to examine, newest first."""
    runs = examined[: request.max_runs]
    matching = [run for run in runs if matches(run, which)]
    values = {
        field: _most_frequent((getattr(run, field) for run in matching), request.max_values) for field in request.fields
    }
    return Facets(values, len(runs), len(runs) == len(examined))


def _most_frequent(values: Iterable[str | None], most: int) -> tuple[FacetValue, ...]:
    counts = Counter(value for value in values if value is not None and count_bytes(value) <= MAX_FACET_BYTES)
    ordered = sorted(counts.items(), key=lambda counted: (-counted[1], counted[0]))
    return tuple(FacetValue(str(value), runs) for value, runs in ordered[:most])


def _number(start: Timestamp, bucket_seconds: int) -> int:
    return (datetime.fromisoformat(start) - _EPOCH) // timedelta(seconds=bucket_seconds)


def _bucket(start: Timestamp, runs: Sequence[Run], metrics: Sequence[str]) -> Bucket:
    durations = sorted(run.duration_ms for run in runs if run.duration_ms is not None)
    return Bucket(
        start,
        Counter(run.status for run in runs),
        Durations(_percentile(durations, 50), _percentile(durations, 95)) if durations else None,
        _sums(runs, metrics),
    )


def _percentile(ordered: Sequence[Count], share: int) -> Count:
    """Return the smallest value that this share of them, in percent, does not exceed."""
    return ordered[(len(ordered) * share + 99) // 100 - 1]


def _sums(runs: Iterable[Run], names: Iterable[str]) -> Metrics:
    held: list[Mapping[str, object]] = [json.loads(run.metrics_json) for run in runs if run.metrics_json]
    reported = {name: list(filter(is_metric, [members.get(name) for members in held])) for name in names}
    return {name: add_up(values) for name, values in reported.items() if values}
