"""The response to a scrape: the metrics of all processes of a server, and the size of its store."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread
from typing import Final

import attrs
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from adapters.prometheus.board import Board
from adapters.prometheus.metrics import Metrics
from adapters.prometheus.snapshot import Snapshot, Taken, cumulative, from_bytes, merge, take_snapshot, to_bytes
from core.model.store_figures import StoreFigures

PUBLISH_SECONDS: Final = 1.0
"""How often a worker publishes what it has counted: others show it that late, and its death loses that much."""

_OPENMETRICS: Final = "application/openmetrics-text"


class Exposition:
    """The metrics of a server, whichever of its processes is asked. Thread-safe.

    With a board, this process is the one with the given slot, and goes on counting where its predecessor there ended.
    """

    def __init__(self, metrics: Metrics, board: Board | None = None, slot: int = 0) -> None:
        self.metrics = metrics
        self._board = board
        self._slot = board.slots[slot] if board else None
        self._inherited = cumulative(from_bytes(self._slot.read())) if self._slot else []
        self._publishing = Lock()

    @contextmanager
    def published(self) -> Iterator[None]:
        """Publish the metrics every ``PUBLISH_SECONDS`` for the other processes, if there are any."""
        if self._slot is None:
            yield
            return
        ended = Event()
        thread = Thread(target=self._publish_until, args=(ended,), name="runsink-metrics", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def render(self, accept: str, figures: StoreFigures | None, *, store_up: bool) -> tuple[bytes, str]:
        """Return the metrics, as OpenMetrics if ``accept`` names it, and the content type.

        ``figures`` are those of the store that were measured last, and ``store_up`` says whether that was just now.
        """
        snapshot = merge([self._snapshot(), take_snapshot(_StoreCollector(figures, store_up))])
        encode, content_type = choose_encoder(_OPENMETRICS if _OPENMETRICS in accept.lower() else "")
        return encode(Taken(snapshot)), content_type

    def _snapshot(self) -> Snapshot:
        if self._board is None:
            return take_snapshot(self.metrics.registry)
        # What is shown is always published before, so that no death takes it back.
        self._publish()
        return merge(from_bytes(slot.read()) for slot in self._board.slots)

    def _publish(self) -> None:
        assert self._slot is not None  # noqa: S101 - there is a board
        with self._publishing:
            own = take_snapshot(self.metrics.registry)
            self._slot.write(to_bytes(merge([own, self._inherited]) if self._inherited else own))

    def _publish_until(self, ended: Event) -> None:
        while not ended.wait(PUBLISH_SECONDS):
            self._publish()


def bury(board: Board, slot: int) -> None:
    """Take what a dead process had at that moment, such as its connections, from the board; what it counted stays."""
    place = board.slots[slot]
    place.write(to_bytes(cumulative(from_bytes(place.read()))))


@attrs.frozen
class _StoreCollector(Collector):
    """The size of a store; what is unknown is left out."""

    _figures: StoreFigures | None
    _up: bool

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("runsink_store_up", "Whether the store answers.", float(self._up))
        if self._figures is None:
            return
        for name, text, value in (
            ("runsink_database_bytes", "Size of the database.", self._figures.database_bytes),
            ("runsink_wal_bytes", "Size of the WAL.", self._figures.wal_bytes),
            ("runsink_disk_free_bytes", "Bytes that the disk can still take.", self._figures.free_bytes),
            (
                "runsink_oldest_reader_seconds",
                "How long a reader has held up the database.",
                self._figures.oldest_transaction_seconds,
            ),
        ):
            if value is not None:
                yield GaugeMetricFamily(name, text, float(value))
        jobs = GaugeMetricFamily("runsink_jobs", "Background jobs.", labels=["state"])
        for state, number in self._figures.jobs.items():
            jobs.add_metric([state], number)
        yield jobs
