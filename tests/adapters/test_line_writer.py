"""Lines that a thread writes: in order and whole, and never at the cost of whoever logs."""

import os
import select
import time
from collections.abc import Callable, Iterator

import attrs
import pytest

from adapters.line_writer import MAX_WAITING_BYTES, LineWriter

GUARD_SECONDS = 30
LINE = b"x" * 1023 + b"\n"
BEYOND = 64 + 2 * MAX_WAITING_BYTES // len(LINE)
"""More lines than the pipe and the queue hold."""


@attrs.define
class Pipe:
    """A pipe whose reader reads only when it is told to."""

    reader: int
    writer: int
    received: bytes = b""

    def read_until(self, ending: bytes) -> bytes:
        """Read until what was received ends so; return all of it."""
        while not self.received.endswith(ending):
            assert select.select([self.reader], [], [], GUARD_SECONDS)[0], self.received[-200:]
            self.received += os.read(self.reader, 65536)
        return self.received

    def close_reader(self) -> None:
        """Let writes fail."""
        os.close(self.reader)
        self.reader = -1


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe that nobody reads yet."""
    made = Pipe(*os.pipe())
    yield made
    for end in (made.reader, made.writer):
        if end >= 0:
            os.close(end)


@pytest.fixture
def writer(pipe: Pipe) -> Iterator[LineWriter]:
    """A writer whose thread runs."""
    made = LineWriter(pipe.writer, lambda dropped: b"dropped %d\n" % dropped)
    made.start()
    yield made
    made.stop(0)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that another thread brings about."""
    deadline = time.monotonic() + GUARD_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_lines_arrive_whole_and_in_order(pipe: Pipe, writer: LineWriter) -> None:
    """Short ones and such as no single write keeps together."""
    lines = [b"%d %s\n" % (number, b"x" * (number * 37 % 9000)) for number in range(200)]
    for line in lines:
        writer.put(line)
    assert pipe.read_until(lines[-1]) == b"".join(lines)
    assert writer.dropped == 0


def test_what_nobody_reads_is_dropped_counted_and_reported(pipe: Pipe, writer: LineWriter) -> None:
    """Nobody waits for the reader; once it reads, it gets what was kept, and then how many lines are missing."""
    for _ in range(BEYOND):
        writer.put(LINE)
    dropped = writer.dropped
    assert 0 < dropped < BEYOND
    received = pipe.read_until(b"dropped %d\n" % dropped)
    assert received.count(LINE) == BEYOND - dropped
    writer.put(b"next\n")
    assert pipe.read_until(b"next\n").count(b"dropped") == 1


def test_the_end_does_not_wait_for_a_reader_that_never_comes(pipe: Pipe, writer: LineWriter) -> None:
    """The thread ends although the pipe is full, and what it was asked to write is not lost for the next one."""
    for number in range(200):
        writer.put(b"%d " % number + LINE)
    wait_until(lambda: not select.select([], [pipe.writer], [], 0)[1])
    writer.stop(0)
    assert writer._thread is not None  # noqa: SLF001 - nothing else shows it
    assert not writer._thread.is_alive()  # noqa: SLF001
    writer.start()
    expected = b"".join(b"%d " % number + LINE for number in range(200))
    assert pipe.read_until(b"199 " + LINE) == expected


def test_the_end_writes_what_waits(pipe: Pipe, writer: LineWriter) -> None:
    """If somebody reads, nothing is lost."""
    for number in range(50):
        writer.put(b"%d\n" % number)
    writer.stop(GUARD_SECONDS)
    assert pipe.read_until(b"49\n").count(b"\n") == 50


def test_lines_wait_while_the_thread_does_not_run(pipe: Pipe, writer: LineWriter) -> None:
    """As while the process is forked."""
    writer.stop(0)
    writer.put(b"meanwhile\n")
    writer.start()
    assert pipe.read_until(b"meanwhile\n") == b"meanwhile\n"


def test_lines_for_a_closed_reader_are_counted(pipe: Pipe, writer: LineWriter) -> None:
    """Writes fail, which is no reason to fail, to spin, or to report what cannot be reported."""
    pipe.close_reader()
    for number in range(1, 4):
        writer.put(LINE)
        wait_until(lambda number=number: writer.dropped == number)  # type: ignore[misc]
    writer.stop(GUARD_SECONDS)
    assert writer.dropped == 3


def test_a_descriptor_that_does_not_block(pipe: Pipe, writer: LineWriter) -> None:
    """Whoever shares the descriptor may have set it so; a line larger than the room left arrives all the same."""
    os.set_blocking(pipe.writer, False)
    long = b"y" * 200_000 + b"\n"
    writer.put(LINE)
    writer.put(long)
    assert pipe.read_until(b"y\n") == LINE + long
