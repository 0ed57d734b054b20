"""The processes of a server: one that does all the work, or several workers and one that looks after them."""

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess

from core.errors import StoreUnusableError
from entrypoints.application import Application, build_application
from entrypoints.http.listening import close
from entrypoints.http.server import start_server
from entrypoints.settings import Settings

_STOPPING = (signal.SIGTERM, signal.SIGINT)

# The store is checked and all modules are loaded when the workers come into being: forking makes them in a few
# milliseconds, with that memory shared. No thread runs at that moment.
_processes = multiprocessing.get_context("fork")

_log = logging.getLogger("runsink")


def serve_until_told(
    settings: Settings, sockets: Sequence[socket.socket], announce: Callable[[], None], orphaned: int | None = None
) -> int:
    """Take requests in this process until SIGTERM or SIGINT, then answer what was accepted; return the exit status.

    ``announce`` is called once requests are taken. A file descriptor ``orphaned`` that becomes readable has the
    effect of SIGTERM.

    Raises:
        StoreUnusableError: the store cannot be opened.
    """
    application = build_application(settings)
    try:
        asyncio.run(_serve(application, settings, sockets, announce, orphaned))
    finally:
        application.close()
    return 0


async def _serve(
    application: Application,
    settings: Settings,
    sockets: Sequence[socket.socket],
    announce: Callable[[], None],
    orphaned: int | None,
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in _STOPPING:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    # A worker is born with them blocked.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    if orphaned is not None:
        loop.add_reader(orphaned, stop.set)
    server = await start_server(application, settings, sockets)
    announce()
    await stop.wait()
    if orphaned is not None:
        loop.remove_reader(orphaned)
    await server.close()
    # A second signal, such as the supervisor's after one from the terminal, does not cut off what is left to do.
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)


def supervise(settings: Settings, sockets: Sequence[socket.socket], announce: Callable[[], None]) -> int:
    """Have ``settings.workers`` processes take requests until SIGTERM or SIGINT; return the exit status.

    ``announce`` is called once all of them take requests. A worker that ends unasked is replaced. One that ends
    before it could take requests ends the whole server, with status 1.

    Raises:
        StoreUnusableError: the store cannot be opened.
    """
    # What keeps the store from opening is said once, and a new file is made once, before there are workers.
    build_application(settings).close()
    watched = {*_STOPPING, signal.SIGCHLD}
    # Blocked, signals wait to be asked for; one that is ignored by default would be thrown away all the same.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    crew = _Crew(settings, sockets)
    try:
        for _ in range(settings.workers):
            crew.start()
        announce()
        while signal.sigwait(watched) == signal.SIGCHLD:
            crew.replace_the_dead()
    except ChildProcessError as error:
        _log.error("%s; stopping", error)
        crew.stop()
        return 1
    return crew.stop()


class _Crew:
    """The workers. Each notices the end of this process by the pipe whose other end only this process has open."""

    def __init__(self, settings: Settings, sockets: Sequence[socket.socket]) -> None:
        self._settings = settings
        self._sockets = sockets
        self._workers: list[ForkProcess] = []
        self._orphaned, self._alive = os.pipe()

    def start(self) -> None:
        """Start a worker and wait until it takes requests.

        Raises:
            ChildProcessError: it ended before that.
        """
        ready, tell_ready = _processes.Pipe(duplex=False)
        worker = _processes.Process(target=self._work, args=(tell_ready,))
        worker.start()
        tell_ready.close()
        wait([ready])
        with suppress(EOFError), ready:
            ready.recv()
            self._workers.append(worker)
            return
        worker.join()
        raise ChildProcessError(f"a worker ended with status {worker.exitcode} before it took requests")

    def replace_the_dead(self) -> None:
        """Start a worker for each one that ended; raises ``ChildProcessError`` as ``start`` does."""
        for worker in [worker for worker in self._workers if worker.exitcode is not None]:
            _log.error("worker %s ended with status %s; starting another", worker.pid, worker.exitcode)
            self._workers.remove(worker)
            self.start()

    def stop(self) -> int:
        """Have all workers answer what they accepted and end; return 0 if all of them did so in good order."""
        close(self._sockets)
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            worker.join()
        return int(any(worker.exitcode for worker in self._workers))

    def _work(self, tell_ready: Connection) -> None:
        os.close(self._alive)
        try:
            serve_until_told(self._settings, self._sockets, partial(tell_ready.send, None), self._orphaned)
        except StoreUnusableError as error:
            sys.exit(f"runsink: {error}")
