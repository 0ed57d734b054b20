"""The queue file: what is put stays until it is removed, within bounds, for several processes at once."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.outbox.claim import Claim, ClaimHeldError
from adapters.outbox.process_identity import ProcessIdentity
from adapters.outbox.queue import Kind, NewEntry, OutboxBounds, Queue, Totals
from core.errors import OutboxClosedError, OutboxError, OutboxFullError


def entry(number: int, size: int = 2) -> NewEntry:
    """An entry of so many bytes."""
    return NewEntry(Kind.RUN, f"e-{number}", b"x" * size)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    """A queue of three entries or 100 bytes."""
    opened = Queue(tmp_path / "outbox", OutboxBounds(max_entries=3, max_bytes=100))
    yield opened
    opened.close()


def test_order_and_removal(queue: Queue) -> None:
    """Entries come back in order, with their bytes, until they are removed."""
    queue.put([entry(1), entry(2)])
    queue.put([entry(3)])
    first = queue.first(10, 1000)
    assert [(one.event_id, one.body) for one in first] == [("e-1", b"xx"), ("e-2", b"xx"), ("e-3", b"xx")]
    assert [one.event_id for one in queue.first(2, 1000)] == ["e-1", "e-2"]
    assert [one.event_id for one in queue.first(10, 3)] == ["e-1"]
    queue.remove(first[:1])
    assert [one.event_id for one in queue.first(10, 1)] == ["e-2"]
    assert (queue.last_position(), queue.undelivered(first[1].position)) == (3, 1)


def test_it_is_bounded(queue: Queue) -> None:
    """What does not fit is refused as a whole, and what waits stays."""
    queue.put([entry(1), entry(2)])
    with pytest.raises(OutboxFullError, match="holds 2 undelivered entries of 4 bytes"):
        queue.put([entry(3), entry(4)])
    with pytest.raises(OutboxFullError):
        queue.put([entry(3, 97)])
    queue.put([entry(3, 96)])
    assert queue.totals() == Totals(3, 100, 0, 0, 0)
    queue.remove(queue.first(1, 1))
    queue.put([entry(4)])


def test_rejections(queue: Queue) -> None:
    """What is rejected keeps its reason; the oldest make room, and are counted."""
    for number in range(5):
        queue.put([entry(number), entry(number + 10)])
        bad, good = queue.first(2, 100)
        queue.reject([(bad, f"reason {number}")], [good])
    kept = queue.rejections()
    assert [(one.event_id, one.error) for one in kept] == [(f"e-{n}", f"reason {n}") for n in (2, 3, 4)]
    assert queue.totals() == Totals(0, 0, 3, 6, 2)
    queue.forget_rejections(kept[:1])
    assert [one.event_id for one in queue.rejections(limit=1, after=kept[0].position)] == ["e-3"]


def test_claims_exclude_each_other(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """One client at a time delivers; a claim ends when it is let go of, expires, or its process has ended."""
    first, second = Claim(queue, 60), Claim(queue, 60)
    first.require()
    first.require()
    with pytest.raises(ClaimHeldError):
        second.require()
    first.release()
    second.require()
    second.release()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    assert queue.claim("::", 0.05)
    monkeypatch.setattr(time, "time", lambda: now + 0.04)
    assert not queue.claim("another", 60)
    monkeypatch.setattr(time, "time", lambda: now + 0.06)
    assert queue.claim("another", 60)


def test_claims_and_a_clock_that_jumps(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim made before the clock was set back by a day does not last for a day."""
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 86400)
    assert queue.claim("one", 60)
    monkeypatch.setattr(time, "time", lambda: now)
    assert queue.claim("another", 60)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_the_claim_of_a_dead_process_lapses(queue: Queue) -> None:
    """Whoever was killed holds nothing, and whoever lives does."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        own = ProcessIdentity.own()
        started = Path(f"/proc/{process.pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
        other = ProcessIdentity(own.space, process.pid, started)
        assert not other.surely_ended()
        assert queue.claim(f"{other}:a", 60)
        assert not queue.claim("another", 60)
        process.kill()
        process.wait()
        assert other.surely_ended()
        assert queue.claim("another", 60)
    assert not own.surely_ended()
    assert not ProcessIdentity("elsewhere", process.pid, "1").surely_ended()
    assert ProcessIdentity.parse(f"{own}:a") == own
    assert ProcessIdentity.parse("anything") is None


def test_several_connections(queue: Queue) -> None:
    """Two queues over one file see the same."""
    other = Queue(queue.path)
    other.put([entry(1)])
    assert [one.event_id for one in queue.first(10, 100)] == ["e-1"]
    other.close()


def test_it_is_private_and_durable(queue: Queue) -> None:
    """Only the owner may read it; every commit is synced."""
    assert queue.path.stat().st_mode & 0o077 == 0
    with queue._held() as connection:  # noqa: SLF001 - the settings of the connection are its own
        assert (connection.pragma("journal_mode"), connection.pragma("synchronous")) == ("wal", 2)


def test_files_that_are_none(tmp_path: Path) -> None:
    """Another file is refused and left as it is."""
    text = tmp_path / "text"
    text.write_text("no database at all, but long enough to be taken for one" * 20)
    with pytest.raises(OutboxError, match="is no outbox"):
        Queue(text)
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE a (b)")
    connection.close()
    with pytest.raises(OutboxError, match="something else"):
        Queue(tmp_path / "other.db")
    with pytest.raises(OutboxError, match="cannot use the outbox"):
        Queue(tmp_path / "none" / "outbox")
    Queue(tmp_path / "later").close()
    connection = sqlite3.connect(tmp_path / "later")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(OutboxError, match="version 99"):
        Queue(tmp_path / "later")


def test_after_closing(queue: Queue) -> None:
    """Nothing is done any more."""
    queue.close()
    queue.close()
    with pytest.raises(OutboxClosedError):
        queue.put([entry(1)])


def test_many_processes_create_one_file(tmp_path: Path) -> None:
    """Processes that start together on a new file all get to put what they have."""
    script = (
        "import sys; from adapters.outbox.queue import *; q = Queue(sys.argv[1]);\n"
        "for n in range(10): q.put([NewEntry(Kind.RUN, f'{sys.argv[2]}-{n}', b'x')])"
    )
    arguments = [sys.executable, "-c", script, os.fspath(tmp_path / "outbox")]
    processes = [subprocess.Popen([*arguments, str(number)]) for number in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    queue = Queue(tmp_path / "outbox")
    assert queue.totals().entries == 40
    names = [one.event_id for one in queue.first(100, 1000)]
    for number in range(4):
        assert [name for name in names if name.startswith(f"{number}-")] == [f"{number}-{n}" for n in range(10)]
    queue.close()
