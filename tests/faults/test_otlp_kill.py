"""kill -9 of a server that exporters send spans to: in the end each span is stored once, whole, and as it ended."""

import gzip
import http.client
import json
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import cycle
from pathlib import Path
from queue import Empty, Queue
from random import Random
from threading import Event
from urllib.parse import urlsplit

import attrs

from adapters.wire.otlp.slices import SLICE_SPANS
from tests.faults.audit import disagreements, integrity_errors, looked_into
from tests.figures import Figures, Scale
from tests.otlp import SPAN, TRACE, TRACES, TYPES, Exporter, encoded, export, span
from tests.servers import DEADLINE_SECONDS, Api, Serve, Served

EXPORTERS = 3
SIZES = (512, 100, 2500)
"""Spans of a request, in turn. The first is what SDKs send at most by default; the last is written in slices."""
FORMS = [(media_type, compressed) for compressed in (False, True) for media_type in TYPES]
RETRIED = {429, 502, 503, 504}
"""The statuses that exporters retry: https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes."""
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
STALLED_SECONDS = 120
"""Only a guard against tests that hang."""
ANNOUNCED_EVERY, START_UP_EVERY, THOROUGH_EVERY = 3, 4, 10
"""Requests whose spans are sent when they begin as well, kills at a start, and full checks of the file."""


@attrs.define
class Request:
    """The spans with these numbers, all running or all ended, and what became of them.

    ``under_way`` says whether an exporter waits for a response, ``broken`` how often its connection broke meanwhile.
    """

    numbers: range
    ended: bool
    media_type: str
    compressed: bool
    under_way: bool = False
    broken: int = 0
    acknowledged: bool = False

    def body(self) -> bytes:
        """Return the bytes that are sent, the same at every attempt."""
        end = {} if self.ended else {"endTimeUnixNano": None}
        spans = [span(number, {"number": number}, name=f"span {number}", **end) for number in self.numbers]
        body = encoded(export(spans, {"service.name": "fleet"}), self.media_type)
        return gzip.compress(body, 1, mtime=0) if self.compressed else body

    def headers(self) -> dict[str, str]:
        """Return the header fields beside the type of the body."""
        return {"Content_Encoding": "gzip"} if self.compressed else {}

    def kept(self, ends: dict[int, bool]) -> int:
        """Return how many of its spans are stored, at least as far as this request has them; -1 if not the first."""
        kept = [number for number in self.numbers if ends.get(number, False) or (number in ends and not self.ended)]
        return len(kept) if kept == list(self.numbers[: len(kept)]) else -1


Journey = Sequence[Request]
"""The requests with the same spans, to be sent one after the other."""


def journeys_of(total: int) -> list[Journey]:
    """Return requests with so many different spans; every so many are announced before they end."""
    journeys: list[Journey] = []
    forms, first = cycle(FORMS), 0
    for place, size in enumerate(cycle(SIZES)):
        numbers = range(first, min(first + size, total))
        states = (False, True) if place % ANNOUNCED_EVERY == 0 else (True,)
        journeys.append([Request(numbers, ended, *next(forms)) for ended in states])
        first = numbers.stop
        if first == total:
            return journeys
    raise AssertionError


@attrs.define
class Fleet:
    """Exporters that send each request again until it is acknowledged, as the rules of OTLP over HTTP have it."""

    api: Api
    random: Random
    journeys: list[Journey]
    cut: int = 0
    """Requests that were sent in part."""
    _left: "Queue[Journey]" = attrs.field(factory=Queue)
    _over: Event = attrs.field(factory=Event)
    _exporters: "list[Future[None]]" = attrs.field(factory=list)

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send the requests during the block."""
        for journey in self.journeys:
            self._left.put(journey)
        with ThreadPoolExecutor(EXPORTERS) as pool:
            self._exporters = [pool.submit(self._work) for _ in range(EXPORTERS)]
            try:
                yield
            finally:
                self._over.set()

    @property
    def requests(self) -> list[Request]:
        """Return all requests."""
        return [request for journey in self.journeys for request in journey]

    @property
    def spans(self) -> int:
        """Return how many spans there are in all requests."""
        return sum(len(request.numbers) for request in self.requests)

    def acknowledged(self) -> int:
        """Return how many of them were acknowledged."""
        return sum(len(request.numbers) for request in self.requests if request.acknowledged)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the exporters bring about."""
        deadline = time.monotonic() + STALLED_SECONDS
        while not condition():
            for exporter in self._exporters:
                if exporter.done():
                    exporter.result()
            assert time.monotonic() < deadline, "no progress"
            time.sleep(0.002)

    def is_done(self, but: Journey = ()) -> bool:
        """Return whether all requests but these are acknowledged."""
        return all(request.acknowledged for request in self.requests if request not in but)

    def is_busy(self) -> bool:
        """Return whether an exporter waits for a response."""
        return any(request.under_way for request in self.requests)

    @contextmanager
    def cut_request(self) -> Iterator[Journey]:
        """Send a part of the first request of a journey that no exporter sends during the block, if one is left."""
        try:
            journey = self._left.get_nowait()
        except Empty:
            yield ()
            return
        self.cut += 1
        body = journey[0].body()
        head = f"POST {TRACES} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {journey[0].media_type}\r\n"
        coding = "Content-Encoding: gzip\r\n" if journey[0].compressed else ""
        whole = f"{head}{coding}Content-Length: {len(body)}\r\n\r\n".encode() + body
        address = urlsplit(self.api.url)
        with closing(socket.create_connection((address.hostname, address.port), DEADLINE_SECONDS)) as connection:
            # Every other one lacks only its last byte.
            connection.sendall(whole[: self.random.choice((-1, self.random.randrange(len(whole))))])
            yield journey
        self._left.put(journey)

    def _work(self) -> None:
        while not self._over.is_set():
            try:
                journey = self._left.get(timeout=0.05)
            except Empty:
                continue
            for request in journey:
                self._send(request)

    def _send(self, request: Request) -> None:
        exporter, body, pause = Exporter(self.api, request.media_type), request.body(), FIRST_PAUSE
        while not self._over.is_set():
            least, request.under_way = 0.0, True
            try:
                answer = exporter.send(body, **request.headers())
            except ConnectionRefusedError:
                pass
            except (OSError, http.client.HTTPException):
                request.broken += 1
            else:
                if answer.status == 200:
                    assert exporter.partial_success(answer) == (0, "")
                    request.acknowledged = True
                    return
                assert answer.status in RETRIED, answer
                least = float(answer.headers.get("Retry-After", 0))
            finally:
                request.under_way = False
            time.sleep(max(least, self.random.uniform(0.5, 1) * pause))
            pause = min(2 * pause, LONGEST_PAUSE)


@attrs.define
class Audit:
    """What is wrong with the file after kills, and what is there that nobody was told of."""

    db: Path
    amiss: "Counter[str]" = attrs.field(factory=Counter)
    kept_untold: int = 0
    """Spans of requests that were not acknowledged when the server was killed."""
    kept_in_part: int = 0
    """Requests of which some slices are kept."""
    files: int = 0

    def after_a_kill(self, requests: list[Request], cut: Journey) -> None:
        """Look at the file as a killed server left it, while no other runs; ``cut`` was sent in part."""
        self.files += 1
        thorough = self.files % THOROUGH_EVERY == 0
        with looked_into(self.db) as connection:
            rows = connection.execute("SELECT event_id, end_time FROM runs").fetchall()
            self.amiss["integrity errors"] += len(integrity_errors(connection, thorough=thorough))
            self.amiss["derived tables"] += len(disagreements(connection)) if thorough else 0
        ends = {number_of(str(event_id)): end is not None for event_id, end in rows}
        self.amiss["doubled"] += len(rows) - len(ends)
        for request in requests:
            size, kept = len(request.numbers), request.kept(ends)
            self.amiss["lost"] += request.acknowledged and kept != size
            self.amiss["half"] += kept not in {*range(0, size, SLICE_SPANS), size}
            self.kept_in_part += 0 < kept < size
            self.kept_untold += 0 if request.acknowledged else max(kept, 0)
        self.amiss["kept of a part"] += any(request.kept(ends) for request in cut)

    def in_the_end(self, total: int) -> None:
        """Check that each span is there once, ended and with what was sent."""
        with looked_into(self.db) as connection:
            self.amiss["integrity errors"] += len(integrity_errors(connection, thorough=True))
            self.amiss["derived tables"] += len(disagreements(connection))
            rows = connection.execute("SELECT event_id, item_name, status, duration_ms, context_json FROM runs")
            left = set(range(total))
            for event_id, name, status, duration, context in rows:
                number = number_of(str(event_id))
                self.amiss["doubled"] += number not in left
                left.discard(number)
                shown = (name, status, duration, json.loads(str(context))["attributes"])
                self.amiss["strange"] += shown != (f"span {number}", "success", 1500, {"number": number})
        self.amiss["lost"] += len(left)


def number_of(event_id: str) -> int:
    """Return the number of a span."""
    trace_id, _, span_id = event_id.partition("-")
    assert trace_id == TRACE
    return int(span_id, 16) - int(SPAN, 16)


def kill_at_some_moment(served: Served, fleet: Fleet, share: float, *, starting: bool) -> Journey:
    """Kill the server while it starts, or once this share of all is acknowledged; return what was sent in part."""
    if starting:
        time.sleep(fleet.random.uniform(0, 0.5))
        served.process.kill()
        cut: Journey = ()
    else:
        assert served.first_line
        fleet.wait_for(lambda: fleet.acknowledged() >= share * fleet.spans)
        with fleet.cut_request() as cut:
            fleet.wait_for(lambda: fleet.is_busy() or fleet.is_done(but=cut))
            time.sleep(fleet.random.uniform(0, 0.05))
            served.process.kill()
    assert served.process.wait() == -signal.SIGKILL
    return cut


def test_no_kill_loses_or_doubles_a_span(serve: Serve, tmp_path: Path, scale: Scale, figures: Figures) -> None:
    """Exporters that retry get every span through, though the server is killed at any moment, while it starts too."""
    spans, kills = scale(10_000, 100_000), scale(3, 100)
    audit, random = Audit(tmp_path / "runs.db"), Random(kills)  # noqa: S311 - moments, not secrets
    with serve("--port=0", f"--db={audit.db}") as served:
        options = (f"--port={urlsplit(served.api.url).port}", f"--db={audit.db}")
        fleet = Fleet(served.api, random, journeys_of(spans))
    with fleet.sending():
        for kill in range(1, kills + 1):
            with serve(*options) as served:
                starting = kill % START_UP_EVERY == 0
                cut = kill_at_some_moment(served, fleet, kill / (kills + 1), starting=starting)
            audit.after_a_kill(fleet.requests, cut)
        with serve(*options) as served:
            assert served.first_line
            fleet.wait_for(fleet.is_done)
            assert served.api.find(limit=1).body["total"] == spans
    audit.in_the_end(spans)
    kinds = ("lost", "doubled", "half", "kept of a part", "strange", "integrity errors", "derived tables")
    found = {kind.replace(" ", "_"): audit.amiss[kind] for kind in kinds}
    broken = sum(request.broken for request in fleet.requests)
    kept = {"spans_kept_untold": audit.kept_untold, "requests_kept_in_part": audit.kept_in_part}
    figures(kills=kills, spans=spans, broken=broken, cut=fleet.cut, **kept, **found)
    assert not +audit.amiss
    assert fleet.cut > 0
