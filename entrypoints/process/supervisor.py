"""Several workers behind one address, and the process that looks after them."""

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Final

import attrs

from core.errors import StoreUnusableError
from entrypoints.application import build_application
from entrypoints.databases import resolve_database
from entrypoints.exits import end_with
from entrypoints.http.transport.listening import close
from entrypoints.process.worker import STOPPING, Service, serve_until_told

_ASKING = (*STOPPING, signal.SIGHUP)

# The store is checked and all modules are loaded when the workers come into being: forking makes them in a few
# milliseconds, with that memory shared. No thread runs at that moment.
_processes = multiprocessing.get_context("fork")

CUT_SECONDS: Final = 0.75
"""How much longer than the time for draining the supervisor waits for a worker before it kills it."""

_log = logging.getLogger("runsink")


def supervise(service: Service, announce: Callable[[], None]) -> int:
    """Have ``settings.workers`` processes take requests until SIGTERM or SIGINT; return the exit status.

    ``announce`` is called once all of them take requests. A worker that ends unasked is replaced. One that ends
    before it could take requests ends the whole server, with status 1. So does one that has not ended when the time
    for draining is over; it is killed.

    Raises:
        StoreUnusableError: the store cannot be opened.
    """
    # What keeps the store from opening is said once, and a new file is made once, before there are workers.
    build_application(service.settings).close()
    signals = _Signals()
    # A worker that takes a killed one's place opens the same file as the others, wherever a link leads by then.
    settings = attrs.evolve(service.settings, db=resolve_database(service.settings.db))
    crew = _Crew(attrs.evolve(service, settings=settings))
    try:
        for _ in range(service.settings.workers):
            crew.start()
        while not (received := signals.wait_beside(crew.events())) & set(STOPPING):
            if signal.SIGHUP in received:
                crew.reload_tokens()
            if crew.note_ready():
                announce()
            crew.replace_the_dead()
    except ChildProcessError as error:
        _log.error("%s; stopping", error)
        crew.stop()
        return 1
    return crew.stop()


class _Signals:
    """The signals that this process is asked by, to be waited for beside other events."""

    def __init__(self) -> None:
        self._received, writer = os.pipe()
        os.set_blocking(writer, False)
        for number in _ASKING:
            # Only a signal that has a handler of Python's is written to the pipe.
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(writer)

    def wait_beside(self, events: Sequence[Connection | int]) -> set[int]:
        """Wait for a signal or one of the events; return the signals that came."""
        if self._received in wait([self._received, *events]):
            return set(os.read(self._received, 4096))
        return set()


@attrs.define(eq=False)
class _Worker:
    """A worker process. ``starting`` gets a message when it takes requests; after that there is none."""

    process: ForkProcess
    starting: Connection | None


class _Crew:
    """The workers. Each notices the end of this process by the pipe whose other end only this process has open."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._workers: list[_Worker] = []
        self._announced = False
        self._orphaned, self._alive = os.pipe()

    def start(self) -> None:
        """Start a worker, and do not wait until it takes requests.

        Raises:
            ChildProcessError: there cannot be another process.
        """
        ready, tell_ready = _processes.Pipe(duplex=False)
        process = _processes.Process(target=self._work, args=(tell_ready,))
        # Signals wait until the worker has handlers of its own.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ASKING)
        try:
            process.start()
        except OSError as error:
            raise ChildProcessError(f"a worker cannot be started: {error.strerror}") from error
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKING)
            tell_ready.close()
        self._workers.append(_Worker(process, ready))

    def events(self) -> Sequence[Connection | int]:
        """Return what to wait for: workers that take requests for the first time, and those that end."""
        starting = [worker.starting for worker in self._workers if worker.starting is not None]
        return [*starting, *(worker.process.sentinel for worker in self._workers)]

    def note_ready(self) -> bool:
        """Note which workers take requests now; return, once, that all do.

        Raises:
            ChildProcessError: one ended before that.
        """
        for worker in self._workers:
            if worker.starting is not None and worker.starting.poll():
                _finish_starting(worker)
        first = not self._announced and all(worker.starting is None for worker in self._workers)
        self._announced |= first
        return first

    def replace_the_dead(self) -> None:
        """Start a worker for each one that ended; raises ``ChildProcessError`` as ``start`` does."""
        for worker in [worker for worker in self._workers if worker.process.exitcode is not None]:
            process = worker.process
            _log.error("worker %s ended with status %s; starting another", process.pid, process.exitcode)
            self._workers.remove(worker)
            self.start()

    def reload_tokens(self) -> None:
        """Have all workers read the tokens again, those that are started later included."""
        self._service.access.keyring.reload()
        for worker in self._workers:
            if worker.process.pid is not None and worker.process.is_alive():
                os.kill(worker.process.pid, signal.SIGHUP)

    def stop(self) -> int:
        """Have all workers answer what they accepted and end, in the time for draining and ``CUT_SECONDS`` more.

        Those that do not take requests yet, and those that are left then, are killed. Return 0 if all others ended in
        good order and none was left.
        """
        deadline = time.monotonic() + self._service.settings.drain_seconds + CUT_SECONDS
        close(self._service.sockets)
        working = [worker.process for worker in self._workers if worker.starting is None]
        for worker in self._workers:
            if worker.starting is None:
                worker.process.terminate()
            else:
                worker.process.kill()
        for process in working:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.exitcode is None:
                _log.error("worker %s did not end in time (drain-seconds); killing it", process.pid)
                process.kill()
        for worker in self._workers:
            worker.process.join()
        return int(any(process.exitcode for process in working))

    def _work(self, tell_ready: Connection) -> None:
        signal.set_wakeup_fd(-1)
        os.close(self._alive)
        try:
            serve_until_told(self._service, partial(tell_ready.send, None), self._orphaned)
        except StoreUnusableError as error:
            end_with(error)


def _finish_starting(worker: _Worker) -> None:
    """Take the message of a worker that takes requests; raise ``ChildProcessError`` if it ended without one."""
    assert worker.starting is not None  # noqa: S101 - the caller has looked
    try:
        with worker.starting as ready:
            ready.recv()
    except EOFError:
        worker.process.join()
        status = worker.process.exitcode
        raise ChildProcessError(f"a worker ended with status {status} before it took requests") from None
    worker.starting = None
