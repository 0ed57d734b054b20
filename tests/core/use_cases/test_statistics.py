"""Statistics and facets of many runs."""

from typing import Any

import pytest

from adapters.memory import MemoryStore
from core.errors import InvalidQueryError
from core.model.limits import Limits
from core.model.listing import RunFilter
from core.model.run import JsonText, Status, Text
from core.model.statistics import Bucket, Durations, FacetField, Facets, FacetValue, Statistics
from core.use_cases.statistics import read_facets, read_statistics
from tests.contract.samples import at, keep, sample_run


def statistics(
    store: MemoryStore, bucket: int = 60, metrics: tuple[str, ...] = (), which: RunFilter | None = None, **limits: int
) -> Statistics:
    """Return the statistics of a store."""
    with store.reader() as runs:
        return read_statistics(which or RunFilter(), bucket, metrics, Limits(**limits), runs)


def facets(store: MemoryStore, *fields: str, which: RunFilter | None = None, **limits: int) -> Facets:
    """Return the facets of a store."""
    with store.reader() as runs:
        return read_facets(which or RunFilter(), fields, Limits(**limits), runs)


def filled(*specs: dict[str, Any]) -> MemoryStore:
    """Return a store with these runs."""
    store = MemoryStore()
    keep(store, *(sample_run(f"event-{number}", **spec) for number, spec in enumerate(specs)))
    return store


def test_buckets_are_newest_first_and_have_runs() -> None:
    """Each stretch of time with runs is a bucket; the others are missing."""
    store = filled(
        {"start_time": at(0)},
        {"start_time": at(59), "status": Status.FAILURE},
        {"start_time": at(180)},
        {"start_time": at(10)},
    )
    found = statistics(store)
    assert [(bucket.start, dict(bucket.runs)) for bucket in found.buckets] == [
        (at(180), {Status.RUNNING: 1}),
        (at(0), {Status.RUNNING: 2, Status.FAILURE: 1}),
    ]
    assert (found.examined, found.complete, found.since) == (4, True, None)


@pytest.mark.parametrize(
    ("durations", "p50", "p95"),
    [([7], 7, 7), ([1, 2], 1, 2), ([1, 2, 3], 2, 3), (list(range(1, 101)), 50, 95), (list(range(1, 22)), 11, 20)],
)
def test_percentiles_are_durations_that_occur(durations: list[int], p50: int, p95: int) -> None:
    """A percentile is the smallest duration that so many runs do not exceed; runs without one do not count."""
    store = filled({}, *({"duration_ms": duration} for duration in reversed(durations)))
    assert statistics(store).buckets[0].duration_ms == Durations(p50, p95)  # type: ignore[arg-type]
    assert statistics(filled({})).buckets[0].duration_ms is None


def test_sums_are_over_the_runs_that_report_a_metric() -> None:
    """Numbers count, and nothing else; a metric that no run reports is missing."""
    store = filled(
        {"metrics_json": JsonText('{"cost_usd":0.5,"tokens_in":3}')},
        {"metrics_json": JsonText('{"cost_usd":1,"tokens_in":true}')},
        {"metrics_json": JsonText('{"cost_usd":"2"}')},
        {},
    )
    (bucket,) = statistics(store, metrics=("cost_usd", "tokens_in", "other")).buckets
    assert bucket.metrics == {"cost_usd": 1.5, "tokens_in": 3}


def test_statistics_say_how_far_they_got() -> None:
    """Beyond the limit of runs, or of buckets, the oldest are left out, and ``since`` says from where on."""
    store = filled(*({"start_time": at(60 * number)} for number in range(5)))
    few = statistics(store, max_stats_runs=2)
    assert (len(few.buckets), few.examined, few.complete, few.since) == (2, 2, False, at(180))
    narrow = statistics(store, max_stats_buckets=3)
    assert (len(narrow.buckets), narrow.examined, narrow.complete, narrow.since) == (3, 5, False, at(120))
    assert statistics(store, max_stats_runs=5, max_stats_buckets=5).complete


def test_runs_that_do_not_match_are_examined_as_well() -> None:
    """The limit bounds the work, not the result: a rare status does not make a request examine everything."""
    store = filled({"status": Status.FAILURE}, *({"start_time": at(60)} for _ in range(4)))
    which = RunFilter(status=frozenset({Status.FAILURE}))
    found = statistics(store, which=which, max_stats_runs=4)
    assert (found.buckets, found.examined, found.complete) == ((), 4, False)
    assert statistics(store, which=which).buckets == (Bucket(at(0), {Status.FAILURE: 1}, None, {}),)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bucket", "metrics", "fields"),
    [
        (0, (), ["bucket"]),
        (366 * 86_400 + 1, (), ["bucket"]),
        (60, ("",), ["metrics"]),
        (60, ("a'b",), ["metrics"]),
        (60, ('a"b',), ["metrics"]),
        (60, ("ä",), ["metrics"]),
        (60, ("a" * 65,), ["metrics"]),
        (60, tuple("abcdefghi"), ["metrics"]),
        (-1, ("$",), ["bucket", "metrics"]),
    ],
)
def test_parameter_that_breaks_a_rule_is_named(bucket: int, metrics: tuple[str, ...], fields: list[str]) -> None:
    """One error names every invalid parameter."""
    with pytest.raises(InvalidQueryError) as refused:
        statistics(MemoryStore(), bucket, metrics)
    assert [error.field for error in refused.value.errors] == fields


def test_facets_are_the_most_frequent_values() -> None:
    """Values are counted, most frequent first and then in order; runs without one do not count."""
    store = filled(*({"product": product} for product in ("b", "a", "c", "c", None)), {"product": "d", "run_id": "no"})
    found = facets(store, "product", "status", which=RunFilter(run_id=Text("launch-1")))
    assert found.values == {
        FacetField.PRODUCT: (FacetValue("c", 2), FacetValue("a", 1), FacetValue("b", 1)),
        FacetField.STATUS: (FacetValue("running", 5),),
    }
    assert (found.examined, found.complete) == (5, True)
    bounded = facets(store, "product", max_facet_values=2, max_stats_runs=4)
    assert bounded.values[FacetField.PRODUCT] == (FacetValue("c", 2), FacetValue("d", 1))
    assert (bounded.examined, bounded.complete) == (4, False)


@pytest.mark.parametrize("fields", [[], ["run_id"], ["status", "Product"], [""]])
def test_facets_of_other_fields_are_refused(fields: list[str]) -> None:
    """The error names the fields that can be counted."""
    with pytest.raises(
        InvalidQueryError, match="fields must be one or more, separated by commas, of status, agent_name"
    ):
        facets(MemoryStore(), *fields)
