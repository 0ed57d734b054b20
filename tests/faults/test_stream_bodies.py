"""Streams made to hurt, and streams that hardly move: what they cost, and that nobody else notices them."""

import json
import socket
import statistics
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest
import zstandard

from adapters.wire.encode import stream_progress
from entrypoints.http.api import stream_taker
from entrypoints.http.transport.listening import listen
from tests.faults import streams
from tests.faults.costs import cost_of
from tests.faults.memory import resident_bytes
from tests.faults.streams import Sender, counts
from tests.figures import Figures, Scale
from tests.jobs import lines, sent_run
from tests.servers import Api, MakeRun, Serve, Start

MIB = 1024 * 1024
MAX_MEBIBYTES = 64
SLOW_STREAMS = 10
BESIDE_SECONDS = 4.0


def gzip_of(pieces: Iterator[bytes]) -> bytes:
    """One gzip member."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([packer.compress(piece) for piece in pieces]) + packer.flush()


def zstd_of(pieces: Iterator[bytes]) -> bytes:
    """One zstd frame, without its size in the header."""
    packer = zstandard.ZstdCompressor().compressobj()
    return b"".join([packer.compress(piece) for piece in pieces]) + packer.flush()


PACK: dict[str, Callable[[Iterator[bytes]], bytes]] = {"gzip": gzip_of, "zstd": zstd_of}
FILL = {"one line": b"x", "blank": b" ", "nothing but line ends": b"\n", "digits": b"9", "nested": b"["}


@pytest.mark.parametrize("coding", PACK)
@pytest.mark.parametrize("fill", FILL)
def test_bombs_cost_little(serve: Serve, figures: Figures, scale: Scale, coding: str, fill: str) -> None:
    """A stream that becomes much more than it is ends early, for little memory, with what came before stored."""
    size, bound = scale(512, 4096), 8.0
    good = lines([sent_run(str(number)) for number in range(10)])
    body = PACK[coding](piece for piece in (good, *[FILL[fill] * MIB] * size))
    with serve("--port", "0") as served:
        assert streams.post(served.api, lines([sent_run("warm")])).status == 200
        with cost_of(served.process.pid) as cost:
            answer = streams.post(served.api, body, {"Content-Encoding": coding})
        assert answer.status == 413
        assert "max_stream_expansion" in answer.body["detail"]
        assert answer.body["created"] == 10
        assert served.api.find().body["total"] == 11
    assert cost.mebibytes < MAX_MEBIBYTES
    assert cost.seconds < bound
    figures(body=f"{len(body) >> 10} KiB", ms=round(cost.seconds * 1000), MiB_more=round(cost.mebibytes))


@pytest.mark.parametrize("coding", PACK)
def test_a_bomb_of_runs_is_taken_up_to_the_limit(serve: Serve, figures: Figures, coding: str) -> None:
    """Many times the same line is one run and many that exist; others are served meanwhile."""
    line = json.dumps(sent_run("one", context_json={"x": "y" * 2000})).encode() + b"\n"
    body = PACK[coding](piece for piece in [line * 500] * 60)
    with serve("--port", "0") as served, cost_of(served.process.pid) as cost:
        answer = streams.post(served.api, body, {"Content-Encoding": coding})
        assert answer.status in {200, 413}
        assert answer.body["created"] == 1
        assert answer.body["total"] == answer.body["last_line"]
        assert served.api.request("GET", "/health").status == 200
    assert cost.mebibytes < MAX_MEBIBYTES
    figures(status=answer.status, lines=answer.body["total"], MiB_more=round(cost.mebibytes))


def test_arrays_and_bombs_in_jobs(serve: Serve) -> None:
    """A bomb in a job fails the job with the reason, and its spool is cleared; an array is bounded as a batch is."""
    body = gzip_of(piece for piece in [b"x" * MIB] * 256)
    with serve("--port", "0") as served:
        shown = streams.wait_for_job(served.api, streams.post_job(served.api, body, {"Content-Encoding": "gzip"}))
        assert shown["state"] == "failed"
        assert "max_stream_expansion" in shown["detail"]
        bomb = gzip_of(piece for piece in (b"[", *[b" " * MIB] * 64))
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        answer = streams.post(served.api, bomb, headers)
        assert (answer.status, "max_body_bytes" in answer.body["detail"]) == (413, True)


def test_a_client_that_reads_no_progress_is_served_to_the_end(
    start: Start, monkeypatch: pytest.MonkeyPatch, scale: Scale, figures: Figures
) -> None:
    """A client that reads nothing until it has sent everything gets its result, however long that takes."""
    monkeypatch.setattr("tests.servers.listen", listen_with_small_buffers)
    # So long that what the client does not read fills every buffer.
    monkeypatch.setattr(stream_taker, "stream_progress", lambda result: stream_progress(result) | {"pad": "p" * 10_000})
    seconds = scale(5, 60)
    # A line of more than half a chunk is a chunk of its own, and has a line of progress.
    line = b'{"event_id":"%d","x":"' + b"y" * 600_000 + b'"}\n'
    with (
        start(body_seconds=1) as api,
        closing(Sender.begin(api, "Accept: application/x-ndjson", "Connection: close", window=4096)) as sender,
    ):
        begun, number = time.monotonic(), 0
        while time.monotonic() - begun < seconds:
            sender.send(line % number)
            number += 1
        sender.finish()
        status, told = sender.answer()
    assert (status, counts(told[-1]), told[-1]["last_line"]) == (200, (number, 0, 0, number), number)
    assert 1 < len(told) < number
    figures(chunks=number, lines_of_progress=len(told))


def listen_with_small_buffers(host: str, port: int) -> Sequence[socket.socket]:
    """As the server listens, but little of what a client does not read stays in the kernel."""
    sockets = listen(host, port)
    for listening in sockets:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return sockets


def test_a_client_that_does_not_read_its_result_is_cut(serve: Serve, make_run: MakeRun) -> None:
    """Once all was sent, the response has to be read as any other: its slot and its connection come back."""
    with serve("--port", "0", "--body-seconds", "1", "--max-streams", "1") as served:
        sender = Sender.begin(served.api, window=4096)
        with closing(sender):
            # A result of some hundred kilobytes: more than the kernel keeps for the client.
            ids = "i" * 200
            sender.send(
                b"".join(b'{"event_id":"%b","run_id":"%b"}\n' % (ids.encode(), b"r" * 20_000) for _ in range(500))
            )
            sender.finish()
            deadline = time.monotonic() + 20
            while streams.post(served.api, lines([make_run()])).status == 503:
                assert time.monotonic() < deadline
                time.sleep(0.1)


def test_slow_streams_harm_nobody(serve: Serve, make_run: MakeRun, scale: Scale, figures: Figures) -> None:
    """Ten streams that trickle: uploads are as fast as without them, memory stays, and health is answered."""
    with serve("--port", "0", "--max-streams", str(SLOW_STREAMS)) as served:
        alone = upload_for(served.api, make_run, BESIDE_SECONDS)
        before = resident_bytes(served.process.pid)
        with trickling(served.api) as sent:
            beside = upload_for(served.api, make_run, BESIDE_SECONDS * scale(1, 10))
            begun = time.monotonic()
            assert served.api.request("GET", "/health").status == 200
            health = time.monotonic() - begun
            assert served.api.request("GET", "/ready").status == 200
            answer = streams.post(served.api, lines([make_run()]))
            assert (answer.status, "max_streams" in answer.body["detail"]) == (503, True)
            assert int(answer.headers["Retry-After"]) >= 1
            grown = resident_bytes(served.process.pid) - before
        assert sent["stored"] == sent["sent"]
        assert streams.post(served.api, lines([make_run()])).status == 200
    assert grown < MAX_MEBIBYTES * MIB
    # Loaded machines stumble; what streams would do wrong takes longer.
    assert statistics.median(beside) < 5 * statistics.median(alone) + 0.05
    assert max(beside) < max(alone) + 8
    assert health < 8
    figures(
        median_alone=f"{statistics.median(alone) * 1000:.1f} ms",
        beside=f"{statistics.median(beside) * 1000:.1f} ms",
        longest_alone=f"{max(alone) * 1000:.0f} ms",
        longest_beside=f"{max(beside) * 1000:.0f} ms",
        health=f"{health * 1000:.0f} ms",
        memory_grown_by=f"{grown >> 20} MiB",
    )


def upload_for(api: Api, make_run: MakeRun, seconds: float) -> list[float]:
    """Upload batches one after the other; how long each took."""
    took = []
    end = time.monotonic() + seconds
    while (begun := time.monotonic()) < end:
        assert api.lenient([make_run() for _ in range(20)], Prefer="return=minimal").status == 201
        took.append(time.monotonic() - begun)
    return took


@contextmanager
def trickling(api: Api) -> Iterator[dict[str, int]]:
    """Streams that each send half a run every now and then; in the end, how many runs were sent and stored."""
    sent = {"sent": 0, "stored": 0}
    over = threading.Event()
    with ExitStack() as stack:
        senders = [stack.enter_context(closing(Sender.begin(api))) for _ in range(SLOW_STREAMS)]

        def trickle() -> None:
            number = 0
            while not over.is_set() or number % 2:
                for place, sender in enumerate(senders):
                    line = lines([sent_run(f"slow-{place}-{number // 2}")])
                    sender.send(line[len(line) // 2 :] if number % 2 else line[: len(line) // 2])
                number += 1
                over.wait(0.1)
            sent["sent"] = number // 2 * len(senders)

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            yield sent
        finally:
            over.set()
            thread.join()
        for sender in senders:
            sender.finish()
        for sender in senders:
            status, (document,) = sender.answer()
            assert status == 200
            sent["stored"] += int(document["created"])


def test_streams_that_stop_are_ended_and_keep_what_came(serve: Serve, figures: Figures) -> None:
    """Without a byte for ``body-seconds`` a stream is told 408; all lines that were complete are stored."""
    with serve("--port", "0", "--body-seconds", "1") as served, ExitStack() as stack:
        senders = [stack.enter_context(closing(Sender.begin(served.api))) for _ in range(8)]
        for place, sender in enumerate(senders):
            sender.send(lines([sent_run(f"{place}-{number}") for number in range(5)]) + b'{"event_id":')
        begun = time.monotonic()
        answers: list[tuple[int, list[dict[str, Any]]]] = [sender.answer() for sender in senders]
        waited = time.monotonic() - begun
        assert {status for status, _ in answers} == {408}
        assert all((told["created"], told["last_line"]) == (5, 5) for _, (told,) in answers)
        assert served.api.find().body["total"] == 40
    figures(streams=len(senders), ended_after=f"{waited:.1f} s")


def test_clients_that_vanish_leave_nothing(serve: Serve, make_run: MakeRun, scale: Scale, figures: Figures) -> None:
    """Streams and spools whose client is gone in the middle free their places, without a word in the log."""
    times = scale(20, 500)
    with serve("--port", "0", "--max-streams", "2") as served:
        for number in range(times):
            headers = (["Prefer: respond-async"], ["Accept: application/x-ndjson"], [])[number % 3]
            deadline = time.monotonic() + 20
            while streams.post(served.api, lines([make_run()])).status == 503:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            with closing(Sender.begin(served.api, *headers)) as sender:
                sender.send(lines([make_run() for _ in range(1 + 700 * (number % 4))])[:-20])
                time.sleep(0.01 * (number % 3))
                sender.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert served.end() == (0, "")
    figures(times=times)
