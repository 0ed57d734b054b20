"""Accept connections from listening sockets, which several processes may share."""

import asyncio
import logging
import mmap
import socket
from collections.abc import Callable
from typing import Any, Final, Self

import attrs

TURN_SECONDS: Final = 0.01
"""How long a process leaves a connection to others that have fewer: so long may a busy event loop take to accept it."""

_PAUSE_SECONDS: Final = 0.001
_SLACK_DIVISOR: Final = 8
"""An eighth more connections than another process are no reason to wait, so that many are accepted fast."""

RETRY_SECONDS: Final = 1.0
"""How long a process without descriptors or memory for another connection waits before it tries again."""

DRAIN_SECONDS: Final = 1.0
"""Maximum time spent accepting the backlog before the socket is closed, while new connections keep arriving."""

_NUMBER: Final = "q"
_NUMBER_BYTES: Final = 8

_log = logging.getLogger("runsink")


class ConnectionCounts:
    """The connections of each of several processes, in memory that they share. Made before they are forked."""

    def __init__(self, processes: int) -> None:
        self._numbers = memoryview(mmap.mmap(-1, processes * _NUMBER_BYTES)).cast(_NUMBER)

    def share_of(self, process: int) -> "ConnectionShare":
        """Return the share of a process, by its number from 0."""
        return ConnectionShare(self._numbers, process)


@attrs.frozen
class ConnectionShare:
    """The connections of this process, beside those of others that accept from the same sockets."""

    _numbers: memoryview
    _process: int

    @classmethod
    def alone(cls) -> Self:
        """Return the share of a process that shares no socket."""
        return cls(memoryview(bytearray(_NUMBER_BYTES)).cast(_NUMBER), 0)

    def note(self, number: int) -> None:
        """Note how many connections this process has."""
        self._numbers[self._process] = number

    def anticipate(self) -> None:
        """Count a connection that was accepted and will soon be noted."""
        self._numbers[self._process] += 1

    @property
    def exceeds_another(self) -> bool:
        """Whether another process has fewer connections: any fewer, or an eighth if they are many."""
        least = min(self._numbers)
        return self._numbers[self._process] - least > least // _SLACK_DIVISOR


class Acceptor:
    """Accepts the connections of a listening socket, one at a time, until it is closed.

    Every process that shares the socket sees each of them. One with more connections than another leaves it to the
    others for a moment, so that a few clients keep all processes busy.
    """

    def __init__(
        self, listening: socket.socket, protocol: Callable[[], asyncio.Protocol], share: ConnectionShare
    ) -> None:
        listening.settimeout(0)
        self._listening = listening
        self._protocol = protocol
        self._share = share
        self._loop = asyncio.get_running_loop()
        self._joining: set[asyncio.Task[Any]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._listen()

    async def close(self) -> None:
        """Accept the backlog, whose clients are connected already and would be reset, then close the socket."""
        deadline = self._loop.time() + DRAIN_SECONDS
        while self._loop.time() < deadline and self._accept():  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        self._ignore()
        self._listening.close()
        if self._joining:
            await asyncio.wait(self._joining)

    def _listen(self) -> None:
        self._loop.add_reader(self._listening, self._take_or_leave)

    def _ignore(self) -> None:
        """Undo ``_listen``, and whatever was to call it later."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listening)

    def _take_or_leave(self) -> None:
        if self._share.exceeds_another:
            self._ignore()
            self._leave(self._loop.time() + TURN_SECONDS)
        else:
            self._accept()

    def _leave(self, deadline: float) -> None:
        """Leave what is waiting to processes with fewer connections, but not for long: they may be stuck."""
        if self._share.exceeds_another and self._loop.time() < deadline:
            self._pause = self._loop.call_later(_PAUSE_SECONDS, self._leave, deadline)
        else:
            self._listen()
            self._accept()

    def _accept(self) -> bool:
        """Accept a connection if there is one; return whether there may be more."""
        try:
            accepted, _ = self._listening.accept()
        except BlockingIOError:
            return False
        except ConnectionAbortedError:
            return True
        except OSError as error:
            _log.error("cannot accept connections: %s; trying again", error.strerror)
            self._ignore()
            self._pause = self._loop.call_later(RETRY_SECONDS, self._listen)
            return False
        self._share.anticipate()
        joining = self._loop.create_task(self._loop.connect_accepted_socket(self._protocol, accepted))
        self._joining.add(joining)
        joining.add_done_callback(self._joining.discard)
        return True
