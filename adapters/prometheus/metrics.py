"""The metrics of one process: what is counted as it happens, and what is read when somebody asks.

Every label has a fixed set of values, none of which a client can choose: otherwise it could fill the memory.
``docs/reference/metrics.md`` explains each metric.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import attrs
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from core.ports.observer import Intake, Observer

_BATCHES: Final = frozenset({Intake.LENIENT, Intake.ATOMIC})

_REQUEST_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_COMMIT_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_GROUP_SIZES: Final = (1, 2, 4, 8, 16, 32, 64)
_BATCH_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@attrs.frozen(kw_only=True)
class ServerState:
    """What a server is doing at one moment, and its limits. Mappings have the values of a label for their keys."""

    connections: int
    connections_limit: int
    streams: int
    streams_limit: int
    in_flight_bytes: Mapping[str, int]
    in_flight_limit_bytes: int
    waiting_commands: int
    waiting_calls: Mapping[str, int]


class Metrics(Observer):
    """Counts what it is told, and reads the rest. ``rejection_reasons`` are all that will ever be noted."""

    def __init__(self, version: str, rejection_reasons: Iterable[str]) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._state: Callable[[], ServerState] | None = None
        self._dropped_lines: Callable[[], int] = int
        self._dropped_refusals: Callable[[], int] = int
        self._version = version
        self._held_up_since: float | None = None
        self._define_requests(rejection_reasons)
        self._define_writing()
        self.registry.register(_Readings(self._read))
        ProcessCollector(registry=self.registry)

    def _define_requests(self, reasons: Iterable[str]) -> None:
        """Define what is counted in the event loop, with a bound child for each value of a label known beforehand."""
        self._requests = Histogram(
            "runsink_http_request_duration_seconds",
            "Time from the head of a request to the end of its response.",
            ("method", "route", "status"),
            buckets=_REQUEST_SECONDS,
            registry=self.registry,
        )
        self._observe_request: dict[tuple[str, str, int], Callable[[float], None]] = {}
        rejections = Counter("runsink_rejections", "Requests rejected, by reason.", ("reason",), registry=self.registry)
        self._count_rejection = {str(reason): rejections.labels(reason).inc for reason in reasons}
        runs = Counter("runsink_runs", "Runs uploaded.", ("endpoint", "outcome"), registry=self.registry)
        self._count_runs = {
            intake: tuple(runs.labels(intake, outcome).inc for outcome in ("created", "existing", "failed"))
            for intake in Intake
        }
        sizes = Histogram(
            "runsink_batch_runs", "Runs in a batch.", ("endpoint",), buckets=_BATCH_SIZES, registry=self.registry
        )
        self._observe_batch = {intake: sizes.labels(intake).observe for intake in Intake if intake in _BATCHES}

    def _define_writing(self) -> None:
        """Define what is counted by the writing thread."""
        self._group_size = Histogram(
            "runsink_commit_commands", "Commands in a commit.", buckets=_GROUP_SIZES, registry=self.registry
        )
        self._commit_seconds = Histogram(
            "runsink_commit_duration_seconds", "Time of a commit.", buckets=_COMMIT_SECONDS, registry=self.registry
        )
        self._queue_seconds = Histogram(
            "runsink_commit_queue_seconds",
            "Time that the first command of a commit waited in the queue.",
            buckets=_COMMIT_SECONDS,
            registry=self.registry,
        )
        self._failed_commits = Counter("runsink_commit_failures", "Commits that failed.", registry=self.registry)
        self._checkpoint_seconds = Histogram(
            "runsink_checkpoint_duration_seconds",
            "Time of a checkpoint of the WAL.",
            buckets=_COMMIT_SECONDS,
            registry=self.registry,
        )

    def watch_server(self, read: Callable[[], ServerState]) -> None:
        """Read the state of the server with this function, from any thread."""
        self._state = read

    def watch_dropped_log_lines(self, read: Callable[[], int]) -> None:
        """Read with this function, from any thread, how many lines of the log were dropped since the start."""
        self._dropped_lines = read

    def watch_dropped_refusals(self, read: Callable[[], int]) -> None:
        """Read with this function, from any thread, how many refused runs were not kept although they should be."""
        self._dropped_refusals = read

    def note_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Note a request and its response; each label has few values."""
        observe = self._observe_request.get((method, route, status))
        if observe is None:
            observe = self._requests.labels(method, route, str(int(status))).observe
            self._observe_request[method, route, status] = observe
        observe(seconds)

    def note_rejection(self, reason: str) -> None:
        """Note that a request was rejected for one of the reasons given at the start."""
        self._count_rejection[reason]()

    def note_runs(self, intake: Intake, *, created: int, existing: int, failed: int) -> None:
        for count, number in zip(self._count_runs[intake], (created, existing, failed), strict=True):
            if number:
                count(number)
        if intake in _BATCHES:
            self._observe_batch[intake](created + existing + failed)

    def note_commit(self, commands: int, waited: float, seconds: float) -> None:
        self._group_size.observe(commands)
        self._queue_seconds.observe(waited)
        self._commit_seconds.observe(seconds)

    def note_failed_commit(self) -> None:
        self._failed_commits.inc()

    def note_checkpoint(self, seconds: float, *, complete: bool) -> None:
        self._checkpoint_seconds.observe(seconds)
        if complete:
            self._held_up_since = None
        elif self._held_up_since is None:
            self._held_up_since = time.monotonic() - seconds

    def note_wal_restart(self) -> None:
        self._held_up_since = None

    def _read(self) -> Iterator[Metric]:
        build = GaugeMetricFamily("runsink_build_info", "The version that runs.", labels=["version"])
        build.add_metric([self._version], 1)
        yield build
        yield GaugeMetricFamily("runsink_workers", "Processes that serve requests.", 1)
        since = self._held_up_since
        held_up = 0.0 if since is None else time.monotonic() - since
        yield GaugeMetricFamily("runsink_oldest_reader_seconds", "How long a reader has held up the database.", held_up)
        yield CounterMetricFamily("runsink_log_lines_dropped", "Lines of the log dropped.", self._dropped_lines())
        dropped = self._dropped_refusals()
        yield CounterMetricFamily("runsink_refusals_dropped", "Rejected runs that could not be kept.", dropped)
        if self._state is not None:
            yield from _families_of(self._state())


@attrs.frozen
class _Readings(Collector):
    """What is read at the time of asking, as the registry wants it."""

    _read: Callable[[], Iterator[Metric]]

    def collect(self) -> Iterator[Metric]:
        return self._read()


def _families_of(state: ServerState) -> Iterator[Metric]:
    yield GaugeMetricFamily("runsink_connections", "Open connections.", state.connections)
    yield GaugeMetricFamily("runsink_connections_limit", "Connections allowed at once.", state.connections_limit)
    yield GaugeMetricFamily("runsink_streams", "Streaming uploads in progress.", state.streams)
    yield GaugeMetricFamily("runsink_streams_limit", "Streaming uploads allowed at once.", state.streams_limit)
    yield _labelled("runsink_in_flight_bytes", "Bytes in flight.", "kind", state.in_flight_bytes)
    limits = dict.fromkeys(state.in_flight_bytes, state.in_flight_limit_bytes)
    yield _labelled("runsink_in_flight_limit_bytes", "Bytes allowed in flight.", "kind", limits)
    yield GaugeMetricFamily("runsink_commit_queue_commands", "Commands waiting to be written.", state.waiting_commands)
    yield _labelled("runsink_pool_waiting_calls", "Calls waiting for a thread.", "pool", state.waiting_calls)


def _labelled(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family
