"""Statistics and facets as responses show them."""

from typing import Any

from core.model.run import shown_time
from core.model.statistics import Bucket, Facets, Statistics


def statistics_answer(statistics: Statistics) -> dict[str, Any]:
    """Return the response to ``GET /api/v1/stats``."""
    return {
        "bucket_seconds": statistics.bucket_seconds,
        "buckets": list(map(_bucket_answer, statistics.buckets)),
        "examined": statistics.examined,
        "complete": statistics.complete,
        "from": None if statistics.since is None else shown_time(statistics.since),
    }


def facets_answer(facets: Facets) -> dict[str, Any]:
    """Return the response to ``GET /api/v1/facets``."""
    values = {
        field: [{"value": found.value, "runs": found.runs} for found in frequent]
        for field, frequent in facets.values.items()
    }
    return {"facets": values, "examined": facets.examined, "complete": facets.complete}


def _bucket_answer(bucket: Bucket) -> dict[str, Any]:
    durations = bucket.duration_ms
    return {
        "start": shown_time(bucket.start),
        "runs": bucket.runs,
        "duration_ms": None if durations is None else {"p50": durations.p50, "p95": durations.p95},
        "metrics": bucket.metrics,
    }
