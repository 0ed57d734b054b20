"""Snapshots of metrics: they travel between processes unchanged, and add up."""

import math

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from adapters.prometheus.snapshot import Family, Sample, cumulative, from_bytes, merge, take_snapshot, to_bytes


def snapshot_of(numbers: list[int]) -> list[Family]:
    """Return the snapshot of a process that has counted and observed these numbers."""
    registry = CollectorRegistry()
    counter = Counter("c", "counted", ["parity"], registry=registry)
    histogram = Histogram("h", "observed", buckets=(1, 10), registry=registry)
    gauge = Gauge("g", "now", registry=registry)
    for number in numbers:
        counter.labels("odd" if number % 2 else "even").inc(number)
        histogram.observe(number)
        gauge.set(number)
    return list(take_snapshot(registry))


def values(snapshot: object) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return all samples."""
    assert isinstance(snapshot, list)
    return {(sample.name, sample.labels): sample.value for family in snapshot for sample in family.samples}


@given(st.lists(st.lists(st.integers(0, 100), min_size=1), min_size=1, max_size=4))
def test_several_processes_count_what_one_would_have_counted(shares: list[list[int]]) -> None:
    """Counters and histograms of all are those of a process that had done everything."""
    merged = values(cumulative(merge(map(snapshot_of, shares))))
    assert merged == values(cumulative(snapshot_of([number for share in shares for number in share])))


@given(st.floats(allow_nan=False))
def test_a_snapshot_comes_through_unchanged(value: float) -> None:
    """Every number and label is the same at the other end."""
    snapshot = [Family("a", "gauge", "text", [Sample("a", (("label", 'v"\n'),), value)])]
    assert from_bytes(to_bytes(snapshot)) == snapshot


def test_nothing_is_an_empty_snapshot() -> None:
    """A slot that nobody has written to has no metrics."""
    assert from_bytes(b"") == []


def test_gauges_are_added_unless_the_sum_says_nothing() -> None:
    """The highest age and the lowest start count for all processes."""

    def one(name: str, value: float) -> list[Family]:
        return [Family(name, "gauge", "", [Sample(name, (), value)])]

    for name, expected in (
        ("runsink_connections", 5.0),
        ("runsink_oldest_reader_seconds", 3.0),
        ("runsink_build_info", 3.0),
        ("process_start_time_seconds", 2.0),
        ("process_max_fds", 2.0),
    ):
        assert values(merge([one(name, 2.0), one(name, 3.0)])) == {(name, ()): expected}


def test_only_what_grows_outlives_its_process() -> None:
    """Gauges end with their process, and the time at which a series began is left out everywhere."""
    assert {family.name for family in cumulative(snapshot_of([1]))} == {"c", "h"}
    assert not any(name.endswith("_created") for name, _ in values(snapshot_of([1])))
    assert values(snapshot_of([11]))["h_bucket", (("le", "+Inf"),)] == 1
    assert math.isclose(values(snapshot_of([11]))["h_sum", ()], 11)
