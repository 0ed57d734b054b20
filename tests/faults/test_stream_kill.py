"""``kill -9`` of a server in a stream, while a job is spooled and while it runs, and SIGTERM in all of them."""

import http.client
import json
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import apsw
import attrs

from tests.faults import streams
from tests.faults.stoppable_server import StoppableServer
from tests.faults.streams import Sender, counts
from tests.figures import Figures, Scale
from tests.jobs import lines, sent_run, wait_until
from tests.servers import DEADLINE_SECONDS, Api, Serve, Served

RUNS = 12_000
BAD_EVERY = 500
BAD = RUNS // BAD_EVERY
PIECE_BYTES = 50_000
PER_FILE = 10
"""So many cycles share a database."""
LATE = 8
"""How much longer than ``drain-seconds`` a busy machine may take, in seconds."""


def body_of(name: str) -> bytes:
    """Lines of which every so many are bad."""
    runs: list[object] = [sent_run(f"{name}-{number:05}") for number in range(RUNS)]
    runs[BAD_EVERY - 1 :: BAD_EVERY] = [{}] * BAD
    return lines(runs)


def ids_of(name: str) -> set[str]:
    """The keys of the good lines."""
    return {f"{name}-{number:05}" for number in range(RUNS) if number % BAD_EVERY != BAD_EVERY - 1}


@attrs.define
class Told:
    """What a client was told of its stream before it broke: the last line that is durable, and how many were good."""

    last_line: int = 0
    stored: int = 0
    ended: bool = False

    def note(self, line: bytes) -> None:
        """Note a line of progress; what is told only ever grows."""
        shown = json.loads(line)
        total, created, existing, failed = counts(shown)
        assert total == created + existing + failed == shown["last_line"] >= self.last_line
        self.last_line, self.stored = shown["last_line"], created + existing
        self.ended = "errors" in shown

    def wait_for(self, line: int) -> None:
        """Wait until this line is durable."""
        wait_until(lambda: self.last_line >= line)


def send_and_listen(api: Api, body: bytes, told: Told) -> None:
    """Send a stream, noting all that is told of it, until it ends one way or another."""
    headers = ("Accept: application/x-ndjson", "Connection: close")
    with closing(Sender.begin(api, *headers)) as sender, ThreadPoolExecutor(1) as pool:
        listening = pool.submit(_listen, sender, told)
        with suppress(OSError):
            for at in range(0, len(body), PIECE_BYTES):
                sender.send(body[at : at + PIECE_BYTES])
            sender.finish()
        listening.result(DEADLINE_SECONDS)


def _listen(sender: Sender, told: Told) -> None:
    response = http.client.HTTPResponse(sender.connection)
    with suppress(OSError, http.client.HTTPException):
        response.begin()
        while line := response.readline():
            if line.endswith(b"\n"):
                told.note(line)


def test_a_killed_stream_keeps_what_it_told_and_can_be_sent_again(
    tmp_path: Path, scale: Scale, figures: Figures
) -> None:
    """Nothing told in a line of progress is lost, whatever moment the kill takes; resending the whole completes it."""
    cycles = scale(5, 100)
    chance = random.Random(cycles)  # noqa: S311 - moments, not secrets
    told_lines = cut = kept_untold = 0
    for cycle in range(cycles):
        name, database = f"{cycle:03}", tmp_path / f"{cycle // PER_FILE}.db"
        expected = set().union(*(ids_of(f"{before:03}") for before in range(cycle - cycle % PER_FILE, cycle + 1)))
        body = body_of(name)
        server = StoppableServer.start(database)
        with ThreadPoolExecutor(1) as pool:
            told = Told()
            line, delay = chance.randrange(RUNS * 3 // 4), chance.uniform(0, 0.02)
            sending = pool.submit(send_and_listen, server.api, body, told)
            told.wait_for(line)
            time.sleep(delay)
            assert server.stop(signal.SIGKILL) == -signal.SIGKILL
            sending.result(DEADLINE_SECONDS)
        cut += not told.ended
        told_lines += told.last_line
        found = {key for key in streams.stored_ids(database) if key.startswith(name)}
        acknowledged = {key for key in ids_of(name) if int(key[-5:]) < told.last_line}
        assert len(acknowledged) == told.stored
        assert acknowledged <= found <= ids_of(name)
        kept_untold += len(found - acknowledged)
        server = StoppableServer.start(database)
        answer = streams.post(server.api, body)
        assert server.stop(signal.SIGTERM) == 0
        assert answer.status == 200
        assert counts(answer.body) == (RUNS, RUNS - BAD - len(found), len(found), BAD)
        ids = streams.stored_ids(database)
        assert len(ids) == len(expected)
        assert set(ids) == expected
    figures(cycles=cycles, cut=cut, lines_told=told_lines, kept_untold=kept_untold, lost=0, doubled=0)
    assert cut


def test_kills_while_jobs_are_spooled_and_run(tmp_path: Path, scale: Scale, figures: Figures) -> None:
    """A job that was accepted ends with the counts of an undisturbed one; one that was not leaves nothing behind."""
    cycles = scale(5, 100)
    chance = random.Random(cycles + 1)  # noqa: S311 - moments, not secrets
    accepted: dict[str, str] = {}
    taken = cut = resumed = 0
    for cycle in range(cycles):
        name, database = f"{cycle:03}", tmp_path / f"{cycle // PER_FILE}.db"
        spool = tmp_path / f"{database.name}-spool"
        if cycle % PER_FILE == 0:
            accepted = {}
        server = StoppableServer.start(database)
        with ThreadPoolExecutor(1) as pool:
            # Half of them are killed while the body comes, half while the job runs.
            sending = pool.submit(_accept, server.api, body_of(name), 0.01 if cycle % 2 else 0.0)
            if cycle % 2:
                time.sleep(chance.uniform(0, 0.4))
            else:
                job_id = sending.result(DEADLINE_SECONDS)
                assert job_id is not None
                line = chance.randrange(RUNS * 3 // 4)
                streams.wait_for_job(server.api, job_id, line)
            assert server.stop(signal.SIGKILL) == -signal.SIGKILL
            job_id = sending.result(DEADLINE_SECONDS)
        cut += job_id is None
        if job_id is not None:
            taken += 1
            accepted[name] = job_id
            resumed += 0 < len([key for key in streams.stored_ids(database) if key.startswith(name)]) < RUNS - BAD
        server = StoppableServer.start(database)
        jobs = server.api.request("GET", "/api/v1/jobs?limit=1000").body["jobs"]
        # A job whose acknowledgement got lost runs all the same.
        unanswered = [shown["job_id"] for shown in jobs if shown["job_id"] not in accepted.values()]
        assert len(unanswered) <= cut
        for job_id in (*accepted.values(), *unanswered):
            shown = streams.wait_for_job(server.api, job_id)
            assert (shown["state"], shown["detail"]) == ("succeeded", None)
            assert counts(shown) == (RUNS, RUNS - BAD, 0, BAD)
            assert (shown["last_line"], shown["bytes_done"]) == (RUNS, shown["bytes_total"])
            assert sorted({error["line"] for error in shown["errors"]}) == list(range(BAD_EVERY, RUNS + 1, BAD_EVERY))
        assert server.stop(signal.SIGTERM) == 0
        assert not list(spool.glob("*.body"))
        expected = {key[:3] for key in streams.stored_ids(database)}
        assert len(streams.stored_ids(database)) == len(expected) * (RUNS - BAD)
        assert accepted.keys() <= expected
        assert len(expected) == len(accepted) + len(unanswered)
        # What is left of bodies that never came whole goes at a start.
        assert not list(spool.glob("*.part"))
    figures(kills=cycles, accepted=taken, not_accepted=cut, resumed_midway=resumed, lost=0, doubled=0)


def _accept(api: Api, body: bytes, pause: float) -> str | None:
    """Send a body as a job, with a pause after each piece; its id if it was accepted before the server was gone."""

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(body), PIECE_BYTES):
            yield body[at : at + PIECE_BYTES]
            time.sleep(pause)

    try:
        return streams.post_job(api, pieces())
    except (OSError, http.client.HTTPException):
        return None


def test_sigterm_ends_streams_and_jobs_in_time(serve: Serve, tmp_path: Path, scale: Scale, figures: Figures) -> None:
    """A stream is told 503 with what is durable, a job goes on at the next start, and the process ends soon with 0."""
    cycles = scale(5, 100)
    chance = random.Random(cycles + 2)  # noqa: S311 - moments, not secrets
    seconds = []
    answered = 0
    for cycle in range(cycles):
        name, job_name, database = f"{cycle:03}s", f"{cycle:03}j", tmp_path / f"{cycle}.db"
        with serve("--port", "0", "--db", str(database), "--drain-seconds", "2") as served:
            job_id = streams.post_job(served.api, body_of(job_name))
            with ThreadPoolExecutor(2) as pool:
                stream = pool.submit(send_slowly, served.api, body_of(name))
                spooling = pool.submit(spool_slowly, served.api, body_of("never"))
                time.sleep(chance.uniform(0.2, 1.0))
                begun = time.monotonic()
                assert served.end() == (0, "")
                seconds.append(time.monotonic() - begun)
                told = _outcome(stream)
                assert spooling.result(DEADLINE_SECONDS) in {503, None}
        assert seconds[-1] < 2 + LATE
        found = {key for key in streams.stored_ids(database) if key.startswith(name)}
        if told is not None:
            answered += 1
            assert told["detail"] == "the server is stopping"
            assert len(found) == told["created"]
        with serve("--port", "0", "--db", str(database)) as served:
            shown = streams.wait_for_job(served.api, job_id)
            assert (shown["state"], *counts(shown)) == ("succeeded", RUNS, RUNS - BAD, 0, BAD)
            answer = streams.post(served.api, body_of(name))
            assert counts(answer.body) == (RUNS, RUNS - BAD - len(found), len(found), BAD)
        assert set(streams.stored_ids(database)) == ids_of(name) | ids_of(job_name)
    figures(cycles=cycles, streams_told=answered, longest_stop=f"{max(seconds):.1f} s", lost=0, doubled=0)


def send_slowly(api: Api, body: bytes) -> tuple[int, dict[str, object]] | None:
    """Send a stream that never ends; what is answered, if the answer arrives."""
    with closing(Sender.begin(api)) as sender:
        with suppress(OSError):
            for at in range(0, len(body) // 2, PIECE_BYTES):
                sender.send(body[at : at + PIECE_BYTES])
                time.sleep(0.02)
        try:
            status, (document,) = sender.answer()
        except (OSError, http.client.HTTPException):
            return None
        return status, document


def _outcome(stream: "Future[tuple[int, dict[str, object]] | None]") -> dict[str, object] | None:
    answer = stream.result(DEADLINE_SECONDS)
    if answer is None:
        return None
    assert answer[0] == 503
    return answer[1]


def spool_slowly(api: Api, body: bytes) -> int | None:
    """Send a job whose body never ends; the status, if an answer arrives."""
    with closing(Sender.begin(api, "Prefer: respond-async")) as sender:
        try:
            sender.send(body[:PIECE_BYTES])
            return sender.answer()[0]
        except (OSError, http.client.HTTPException):
            return None


def test_sigterm_ends_streams_in_time_when_the_store_is_locked(serve: Serve, tmp_path: Path) -> None:
    """Chunks that wait for another process are cut; they were not acknowledged, and none is there."""
    database = tmp_path / "runs.db"
    with (
        serve("--port", "0", "--db", str(database), "--drain-seconds", "1") as served,
        ExitStack() as stack,
        closing(apsw.Connection(locked_path(served, database))) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        senders = [stack.enter_context(closing(Sender.begin(served.api))) for _ in range(3)]
        for place, sender in enumerate(senders):
            sender.send(lines([sent_run(f"{place}-{number}") for number in range(1_500)]))
        time.sleep(0.5)
        begun = time.monotonic()
        assert served.end() == (0, "")
        assert time.monotonic() - begun < 1 + LATE
    assert list(streams.stored_ids(database)) == []


def locked_path(served: Served, database: Path) -> str:
    """The database, once the server has made it."""
    assert served.first_line
    return str(database)
