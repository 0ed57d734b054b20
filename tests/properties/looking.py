"""What somebody who looks at the model should see: trees, rollups, statistics and facets, spelled out."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from math import ceil
from typing import Any, Final

from tests.properties.model import Kept

METRICS: Final = (
    *("cost_usd", "total_tokens", "input_tokens", "output_tokens"),
    *("cache_read_tokens", "cache_write_tokens", "reasoning_tokens"),
)
GOOD: Final = ("running", "success")

Node = tuple[Kept, int | None, int]
"""A run, the index of its parent and its depth."""


def expected_levels(runs: Sequence[Kept], root: Kept) -> list[Node]:
    """Return the tree of a run level by level, given all runs in list order."""
    nodes: list[Node] = [(root, None, 0)]
    named: set[str] = set()
    for index, (run, _, depth) in enumerate(nodes):
        if run["run_id"] not in named:
            children = [other for other in runs if other["parent_run_id"] == run["run_id"] and other is not root]
            nodes += [(child, index, depth + 1) for child in reversed(children)]
        named.add(run["run_id"])
    return nodes


def expected_tree(runs: Sequence[Kept], root: Kept) -> list[tuple[str, str | None, int]]:
    """Return the keys of a run and its descendants, depth first, each with that of its parent and its depth."""
    nodes = expected_levels(runs, root)
    order: list[tuple[str, str | None, int]] = []

    def visit(index: int) -> None:
        run, parent, depth = nodes[index]
        order.append((run["event_id"], None if parent is None else nodes[parent][0]["event_id"], depth))
        for place, (_, above, _) in enumerate(nodes):
            if above == index:
                visit(place)

    visit(0)
    return order


def expected_rollup(runs: Sequence[Kept], root: Kept) -> dict[str, Any]:
    """Return what a run and its descendants add up to."""
    nodes = expected_levels(runs, root)
    members = [run for run, _, _ in nodes]
    below: list[set[int]] = [set() for _ in nodes]
    for index in reversed(range(1, len(nodes))):
        parent = nodes[index][1]
        assert parent is not None
        below[parent] |= {index, *below[index]}
    origins = [
        run
        for run, deeper in zip(members, below, strict=True)
        if run["status"] not in GOOD and all(members[index]["status"] in GOOD for index in deeper)
    ]
    return {
        "runs": len(members),
        "status": dict(Counter(run["status"] for run in members)),
        "metrics": {
            name: total
            for name in METRICS
            if (
                total := add(
                    metric(run, name)
                    for run, deeper in zip(members, below, strict=True)
                    if all(metric(members[index], name) is None for index in deeper)
                )
            )
            is not None
        },
        "causes": Counter(((run["error_summary"] or "")[:1000], run["status"]) for run in origins),
        "commits": {run["commit_hash"] for run in members} - {None},
    }


def expected_statistics(runs: Sequence[Kept], seconds: int, name: str) -> list[tuple[Any, ...]]:
    """Return counts, percentiles and the sum of a metric of each stretch of time, newest first."""
    buckets: dict[int, list[Kept]] = {}
    for run in runs:
        buckets.setdefault(unix_second(run["start_time"]) // seconds, []).append(run)
    return [
        (
            dict(Counter(run["status"] for run in members)),
            tuple(percentile([run["duration_ms"] for run in members], share) for share in (0.50, 0.95)),
            add(metric(run, name) for run in members),
        )
        for members in buckets.values()
    ]


def expected_facet(runs: Sequence[Kept], field: str) -> list[tuple[str, int]]:
    """Return the values of a field and their numbers, most frequent first."""
    counts = Counter(run[field] for run in runs if run[field] is not None)
    return sorted(counts.items(), key=lambda counted: (-counted[1], counted[0]))


def unix_second(time: str) -> int:
    """Return the second in which a time lies, since 1970."""
    instant = datetime.fromisoformat(f"{time[:19]}+00:00")
    return int((instant - datetime.fromisoformat("1970-01-01T00:00:00+00:00")).total_seconds())


def metric(run: Kept, name: str) -> Fraction | None:
    """Return a metric that a run reports."""
    members: Mapping[str, Any] = json.loads(run["metrics_json"] or "{}")
    value = members.get(name)
    counts = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 2**53
    return Fraction(value) if counts else None


def add(values: Any) -> float | None:
    """Return the exact sum of the values that are there, as a double; ``None`` if none is."""
    present = [value for value in values if value is not None]
    return float(sum(present, Fraction())) if present else None


def percentile(durations: Sequence[int | None], share: float) -> int | None:
    """Return the smallest duration that this share of them does not exceed."""
    present = sorted(duration for duration in durations if duration is not None)
    return present[ceil(len(present) * share) - 1] if present else None
