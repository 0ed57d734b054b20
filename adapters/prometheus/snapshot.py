"""What a registry holds at one moment, as values that can be sent to another process and added to those of others."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

_CUMULATIVE: Final = frozenset({"counter", "histogram"})

_ADDED_BY: Final[Mapping[str, Callable[[float, float], float]]] = {
    "runsink_build_info": max,
    "runsink_oldest_reader_seconds": max,
    "process_start_time_seconds": min,
    "process_max_fds": min,
}
"""How a metric of several processes becomes one, where the sum says nothing."""


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One number; its name has the suffix of its kind."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


class Family(msgspec.Struct, frozen=True, array_like=True):
    """All samples of one metric."""

    name: str
    kind: str
    text: str
    samples: list[Sample]


Snapshot = Sequence[Family]

_encode: Final = msgspec.msgpack.Encoder().encode
_decoder: Final = msgspec.msgpack.Decoder(list[Family])


def take_snapshot(collector: Collector) -> Snapshot:
    """Return what there is to collect. When a series began is left out: that cannot be added up."""
    return [
        Family(
            metric.name,
            metric.type,
            metric.documentation,
            [
                Sample(sample.name, tuple(sample.labels.items()), float(sample.value))
                for sample in metric.samples
                if not sample.name.endswith("_created")
            ],
        )
        for metric in collector.collect()
    ]


def merge(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Return one snapshot of several processes: each sample is the sum, unless that would say nothing."""
    families: dict[str, Family] = {}
    numbers: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for family in (family for snapshot in snapshots for family in snapshot):
        families.setdefault(family.name, family)
        found = numbers.setdefault(family.name, {})
        combine = _ADDED_BY.get(family.name, float.__add__)
        for sample in family.samples:
            key = (sample.name, sample.labels)
            found[key] = combine(found[key], sample.value) if key in found else sample.value
    return [
        Family(name, family.kind, family.text, [Sample(*key, value) for key, value in numbers[name].items()])
        for name, family in families.items()
    ]


def cumulative(snapshot: Snapshot) -> Snapshot:
    """Return what only grows, and so outlives the process that counted it."""
    return [family for family in snapshot if family.kind in _CUMULATIVE]


def to_bytes(snapshot: Snapshot) -> bytes:
    """Return a snapshot in the form for other processes."""
    return zlib.compress(_encode(snapshot), level=1)


def from_bytes(content: bytes) -> Snapshot:
    """Return the snapshot that ``to_bytes`` was given; an empty text is an empty snapshot."""
    return _decoder.decode(zlib.decompress(content)) if content else []


class Taken(Collector):
    """A snapshot as something to collect, for the encoders of prometheus_client."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        for family in self._snapshot:
            metric = Metric(family.name, family.text, family.kind)
            for sample in family.samples:
                metric.add_sample(sample.name, dict(sample.labels), sample.value)
            yield metric
