"""The use cases that look at many runs at once: statistics by time, and the values of fields."""

import re
from collections.abc import Sequence
from typing import Final

from core.errors import InvalidQueryError
from core.model.limits import Limits
from core.model.listing import RunFilter
from core.model.statistics import (
    MAX_BUCKET_SECONDS,
    MAX_STATISTICS_METRICS,
    FacetField,
    Facets,
    FacetsRequest,
    Statistics,
    StatisticsRequest,
)
from core.model.validation_error import ValidationError
from core.ports.run_repository import RunReader
from core.validation.fields import describe

_METRIC_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


def read_statistics(
    which: RunFilter, bucket_seconds: int, metrics: Sequence[str], limits: Limits, runs: RunReader
) -> Statistics:
    """Return figures of the matching runs, in buckets of this width.

    The newest ``max_stats_runs`` are examined, and the newest ``max_stats_buckets`` returned.

    Raises:
        InvalidQueryError: ``bucket`` or ``metrics`` is invalid; both are named if both are.
    """
    found = [error for error in (_bucket_error(bucket_seconds), _metrics_error(metrics)) if error]
    if found:
        raise InvalidQueryError(tuple(found))
    request = StatisticsRequest(
        bucket_seconds=bucket_seconds,
        metrics=tuple(dict.fromkeys(metrics)),
        max_runs=limits.max_stats_runs,
        max_buckets=limits.max_stats_buckets,
    )
    return runs.statistics(which, request)


def read_facets(which: RunFilter, fields: Sequence[str], limits: Limits, runs: RunReader) -> Facets:
    """Return the ``max_facet_values`` most frequent values of each field among the newest ``max_stats_runs``.

    Raises:
        InvalidQueryError: one of ``fields`` is not a ``FacetField``, or there are none.
    """
    names = tuple(dict.fromkeys(fields))
    unknown = [name for name in names if name not in set(FacetField)]
    if unknown or not names:
        wrong = describe(unknown[0] if unknown else "")
        reason = f"must be one or more, separated by commas, of {', '.join(FacetField)}; not {wrong}"
        raise InvalidQueryError((ValidationError("fields", reason),))
    request = FacetsRequest(
        fields=tuple(map(FacetField, names)), max_runs=limits.max_stats_runs, max_values=limits.max_facet_values
    )
    return runs.facets(which, request)


def _bucket_error(seconds: int) -> ValidationError | None:
    if 1 <= seconds <= MAX_BUCKET_SECONDS:
        return None
    return ValidationError("bucket", f"must be an integer from 1 to {MAX_BUCKET_SECONDS}, not {seconds}")


def _metrics_error(names: Sequence[str]) -> ValidationError | None:
    if len(set(names)) > MAX_STATISTICS_METRICS:
        return ValidationError("metrics", f"must be at most {MAX_STATISTICS_METRICS} names, not {len(set(names))}")
    for name in names:
        if not _METRIC_NAME.fullmatch(name):
            reason = (
                f"must be names of 1 to 64 letters, digits, '_', '-' or '.', separated by commas; not {describe(name)}"
            )
            return ValidationError("metrics", reason)
    return None
