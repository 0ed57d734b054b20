"""Accepting connections beside other processes, and up to the end."""

import asyncio
import errno
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import attrs
import pytest

from entrypoints.http.transport import accepting
from entrypoints.http.transport.accepting import Acceptor, ConnectionCounts, ConnectionShare
from entrypoints.http.transport.listening import listen
from tests.servers import DEADLINE_SECONDS


@attrs.define
class Process:
    """What one of the processes behind a socket has accepted; it notes each connection as a server does."""

    share: ConnectionShare
    accepted: int = 0

    def protocol(self) -> asyncio.Protocol:
        """Return the protocol of a connection."""
        return Accepted(self)


@attrs.define(eq=False)
class Accepted(asyncio.Protocol):
    """A connection that is counted and does nothing."""

    process: Process

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.process.accepted += 1
        self.process.share.note(self.process.accepted)
        transport.close()


class ExhaustedSocket(socket.socket):
    """A listening socket of a process that has no descriptor left at first."""

    attempts = 0

    def accept(self) -> tuple[socket.socket, object]:
        """Fail once as the system does, then accept."""
        self.attempts += 1
        if self.attempts == 1:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


@asynccontextmanager
async def accepting_from(listening: socket.socket, *processes: Process) -> AsyncIterator[None]:
    """Accept in the name of these processes, each with a descriptor of its own."""
    acceptors = [Acceptor(listening.dup(), process.protocol, process.share) for process in processes]
    try:
        yield
    finally:
        for acceptor in acceptors:
            await acceptor.close()


async def connect(listening: socket.socket, number: int) -> None:
    """Connect so many times, one right after the other, and close the connections."""
    with ExitStack() as stack:
        for _ in range(number):
            stack.enter_context(socket.create_connection(listening.getsockname()[:2], DEADLINE_SECONDS))


async def until(number: int, *processes: Process) -> None:
    """Wait until the processes together have accepted so many connections."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while sum(process.accepted for process in processes) < number:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.001)


def processes(number: int) -> list[Process]:
    """Return so many processes that share a socket."""
    counts = ConnectionCounts(number)
    return [Process(counts.share_of(place)) for place in range(number)]


def test_a_process_leaves_connections_to_those_that_have_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a few clients that connect at once keep every process busy."""
    monkeypatch.setattr(accepting, "TURN_SECONDS", DEADLINE_SECONDS)
    (early, *late), (listening,) = processes(3), listen("127.0.0.1", 0)

    async def run() -> None:
        early.accepted = 4
        early.share.note(4)
        async with accepting_from(listening, early, *late):
            await connect(listening, 8)
            await until(12, early, *late)

    with listening:
        asyncio.run(run())
    assert [process.accepted for process in (early, *late)] == [4, 4, 4]


def test_a_process_that_does_not_accept_holds_up_nobody() -> None:
    """What it leaves waiting is accepted by another, although that one has more connections already."""
    (working, _stuck), (listening,) = processes(2), listen("127.0.0.1", 0)

    async def run() -> None:
        async with accepting_from(listening, working):
            await connect(listening, 5)
            await until(5, working)

    with listening:
        asyncio.run(run())
    assert working.accepted == 5


def test_who_is_connected_at_the_end_is_accepted() -> None:
    """Closing a listening socket resets the connections that wait there."""
    process, (listening,) = Process(ConnectionShare.alone()), listen("127.0.0.1", 0)

    async def run() -> None:
        async with accepting_from(listening, process):
            await connect(listening, 20)

    with listening:
        asyncio.run(run())
    assert process.accepted == 20


def test_accepting_goes_on_when_there_are_descriptors_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says what is missing; connections wait meanwhile."""
    monkeypatch.setattr(accepting, "RETRY_SECONDS", 0.01)
    process, (listening,) = Process(ConnectionShare.alone()), listen("127.0.0.1", 0)

    async def run() -> None:
        acceptor = Acceptor(ExhaustedSocket(fileno=listening.dup().detach()), process.protocol, process.share)
        await connect(listening, 2)
        await until(2, process)
        await acceptor.close()

    with listening, caplog.at_level(logging.ERROR, "runsink"):
        asyncio.run(run())
    assert [record.getMessage() for record in caplog.records] == [
        "cannot accept connections: Too many open files; trying again"
    ]


def test_nothing_is_left_of_a_process_that_ends_without_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have left a connection to others a moment before; neither wait goes on after the socket is closed."""
    monkeypatch.setattr(accepting, "TURN_SECONDS", 0.5)
    ending, idle = processes(2)
    (listening,) = listen("127.0.0.1", 0)
    errors: list[object] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))
        ending.share.note(1)
        acceptor = Acceptor(ExhaustedSocket(fileno=listening.dup().detach()), ending.protocol, ending.share)
        await connect(listening, 1)
        await asyncio.sleep(0.01)
        await acceptor.close()
        await asyncio.sleep(accepting.TURN_SECONDS + 0.1)

    with listening:
        asyncio.run(run())
    assert (errors, ending.accepted, idle.accepted) == ([], 0, 0)
