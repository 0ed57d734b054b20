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

import attrs

from core.errors import StoreUnusableError
from entrypoints.application import Application, build_application
from entrypoints.databases import resolve_database
from entrypoints.http.access import Access
from entrypoints.http.listening import close
from entrypoints.http.server import start_server
from entrypoints.settings import Settings

_STOPPING = (signal.SIGTERM, signal.SIGINT)
_ASKING = (*_STOPPING, signal.SIGHUP)

# The store is checked and all modules are loaded when the workers come into being: forking makes them in a few
# milliseconds, with that memory shared. No thread runs at that moment.
_processes = multiprocessing.get_context("fork")

_log = logging.getLogger("runsink")


@attrs.frozen
class Service:
    """What every process of one server starts from."""

    settings: Settings
    access: Access
    sockets: Sequence[socket.socket]


def serve_until_told(service: Service, announce: Callable[[], None], orphaned: int | None = None) -> int:
    """Take requests in this process until SIGTERM or SIGINT, then answer what was accepted; return the exit status.

    SIGHUP has the tokens read again. ``announce`` is called once requests are taken. A file descriptor ``orphaned``
    that becomes readable has the effect of SIGTERM.

    Raises:
        StoreUnusableError: the store cannot be opened.
    """
    application = build_application(service.settings)
    time_left = None
    try:
        time_left = asyncio.run(_serve(application, service, announce, orphaned))
    finally:
        application.close(within=time_left)
    return 0


async def _serve(
    application: Application, service: Service, announce: Callable[[], None], orphaned: int | None
) -> float:
    """Serve until told to stop; return the seconds of the time for draining that are left."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    actions = dict.fromkeys(_STOPPING, stop.set) | {signal.SIGHUP: service.access.keyring.reload}
    for number, action in actions.items():
        signal.signal(number, partial(_call_soon, loop, action))
    # A worker is born with them blocked.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, actions)
    if orphaned is not None:
        loop.add_reader(orphaned, stop.set)
    server = await start_server(application, service.settings, service.access, service.sockets)
    announce()
    await stop.wait()
    if orphaned is not None:
        loop.remove_reader(orphaned)
    time_left = await server.close()
    # A second signal, such as the supervisor's after one from the terminal, does not cut off what is left to do.
    for number in actions:
        signal.signal(number, signal.SIG_IGN)
    return time_left


def _call_soon(loop: asyncio.AbstractEventLoop, action: Callable[[], None], *_signal: object) -> None:
    loop.call_soon_threadsafe(action)


def supervise(service: Service, announce: Callable[[], None]) -> int:
    """Have ``settings.workers`` processes take requests until SIGTERM or SIGINT; return the exit status.

    ``announce`` is called once all of them take requests. A worker that ends unasked is replaced. One that ends
    before it could take requests ends the whole server, with status 1.

    Raises:
        StoreUnusableError: the store cannot be opened.
    """
    # What keeps the store from opening is said once, and a new file is made once, before there are workers.
    build_application(service.settings).close()
    # A worker that takes a killed one's place opens the same file as the others, wherever a link leads by then.
    settings = attrs.evolve(service.settings, db=resolve_database(service.settings.db))
    watched = {*_ASKING, signal.SIGCHLD}
    # Blocked, signals wait to be asked for; one that is ignored by default would be thrown away all the same.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    crew = _Crew(attrs.evolve(service, settings=settings))
    try:
        for _ in range(service.settings.workers):
            crew.start()
        announce()
        while (number := signal.sigwait(watched)) not in _STOPPING:
            if number == signal.SIGHUP:
                crew.reload_tokens()
            else:
                crew.replace_the_dead()
    except ChildProcessError as error:
        _log.error("%s; stopping", error)
        crew.stop()
        return 1
    return crew.stop()


class _Crew:
    """The workers. Each notices the end of this process by the pipe whose other end only this process has open."""

    def __init__(self, service: Service) -> None:
        self._service = service
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

    def reload_tokens(self) -> None:
        """Have all workers read the tokens again, those that are started later included."""
        self._service.access.keyring.reload()
        for worker in self._workers:
            if worker.pid is not None and worker.is_alive():
                os.kill(worker.pid, signal.SIGHUP)

    def stop(self) -> int:
        """Have all workers answer what they accepted and end; return 0 if all of them did so in good order."""
        close(self._service.sockets)
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            worker.join()
        return int(any(worker.exitcode for worker in self._workers))

    def _work(self, tell_ready: Connection) -> None:
        os.close(self._alive)
        try:
            serve_until_told(self._service, partial(tell_ready.send, None), self._orphaned)
        except StoreUnusableError as error:
            sys.exit(f"runsink: {error}")
