"""The supervisor of several worker processes behind one address."""

import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Final

import attrs

from adapters.prometheus import Board, bury
from core.errors import StoreUnusableError
from entrypoints.application import build_application
from entrypoints.databases import resolve_database
from entrypoints.exits import REJECTED
from entrypoints.http.transport.accepting import ConnectionCounts
from entrypoints.logs import logging_in_worker, logging_suspended
from entrypoints.process.worker import STOPPING, Seat, Service, serve_until_stopped

_ASKING = (*STOPPING, signal.SIGHUP)

# When workers are forked, the store is checked, all modules are loaded and no thread is running: a fork takes a few
# milliseconds and shares that memory.
_processes = multiprocessing.get_context("fork")

CUT_SECONDS: Final = 0.75
"""How long after the drain time the supervisor kills a worker."""

_log = logging.getLogger("runsink")


def supervise(service: Service, announce: Callable[[], None]) -> int:
    """Serve with ``settings.workers`` processes until SIGTERM or SIGINT; return the exit status.

    ``announce`` is called once all workers are ready. A worker that exits unexpectedly is replaced. If one exits
    before it is ready, the server stops with status 1. A worker still running after the drain time is killed, and the
    status is 1.

    Raises:
        StoreUnusableError: the store cannot be opened.
    """
    # Report errors and create a new file once, before there are workers.
    build_application(service.settings).close()
    signals = _Signals()
    # A replacement worker must open the same file as the others, even if a link has changed.
    settings = attrs.evolve(service.settings, db=resolve_database(service.settings.db))
    crew = _Crew(attrs.evolve(service, settings=settings))
    try:
        for slot in range(service.settings.workers):
            crew.start(slot)
        while True:
            received, events = signals.wait_beside(crew.events())
            if received & set(STOPPING):
                break
            if signal.SIGHUP in received:
                crew.reload_tokens()
            if crew.note_ready():
                announce()
            crew.replace_the_dead(events)
    except ChildProcessError as error:
        _log.error("%s; stopping", error)
        crew.stop()
        return 1
    return crew.stop()


class _Signals:
    """The signals that control this process, waited for together with other events."""

    def __init__(self) -> None:
        self._received, writer = os.pipe()
        for end in (self._received, writer):
            os.set_blocking(end, False)
        for number in _ASKING:
            # Only signals with a Python handler are written to the pipe.
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(writer)

    def wait_beside(self, events: Sequence[Connection | int]) -> tuple[set[int], Collection[object]]:
        """Wait for a signal or one of the events; return the signals that came, and the events."""
        happened = wait([self._received, *events])
        # A signal that came before an event may be in the pipe only now, whatever the wait saw.
        with suppress(BlockingIOError):
            return set(os.read(self._received, 4096)), happened
        return set(), happened


@attrs.define(eq=False)
class _Worker:
    """A worker process, its slot on the board of the metrics, and whether it is ready.

    ``starting`` receives a message once it is, and is ``None`` afterwards.
    """

    slot: int
    process: ForkProcess
    starting: Connection | None


class _Crew:
    """The workers. Each notices the end of this process by a pipe whose other end only this process holds."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._workers: list[_Worker] = []
        self._announced = False
        self._orphaned, self._alive = os.pipe()
        self._board = Board(service.settings.workers)
        self._counts = ConnectionCounts(service.settings.workers)

    def start(self, slot: int) -> None:
        """Start the worker of a slot without waiting until it is ready.

        Raises:
            ChildProcessError: the process cannot be created.
        """
        ready, tell_ready = _processes.Pipe(duplex=False)
        process = _processes.Process(target=self._work, args=(slot, tell_ready))
        # Signals stay pending until the worker has its own handlers.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ASKING)
        try:
            # A process with threads must not be forked.
            with logging_suspended():
                process.start()
        except OSError as error:
            raise ChildProcessError(f"cannot start a worker: {error.strerror}") from error
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKING)
            tell_ready.close()
        self._workers.append(_Worker(slot, process, ready))
        _log.info("worker started", extra={"worker": process.pid})

    def events(self) -> Sequence[Connection | int]:
        """Return what to wait for: workers becoming ready, and workers exiting."""
        starting = [worker.starting for worker in self._workers if worker.starting is not None]
        return [*starting, *(worker.process.sentinel for worker in self._workers)]

    def note_ready(self) -> bool:
        """Note which workers are ready; return ``True`` once, when all are.

        Raises:
            ChildProcessError: a worker exited before it was ready.
        """
        for worker in self._workers:
            if worker.starting is not None and worker.starting.poll():
                _finish_starting(worker)
        first = not self._announced and all(worker.starting is None for worker in self._workers)
        self._announced |= first
        return first

    def replace_the_dead(self, events: Collection[object]) -> None:
        """Replace each worker whose exit is one of the events.

        One that exited since may have had the same signal as this process, which has yet to see it.

        Raises:
            ChildProcessError: a process cannot be created.
        """
        exited = [worker for worker in self._workers if worker.process.sentinel in events]
        for worker in [worker for worker in exited if worker.process.exitcode is not None]:
            process = worker.process
            text = "worker %s exited with status %s; starting another"
            _log.error(text, process.pid, process.exitcode, extra={"worker": process.pid})
            self._workers.remove(worker)
            bury(self._board, worker.slot)
            self.start(worker.slot)

    def reload_tokens(self) -> None:
        """Reload the tokens in all workers, and for workers started later."""
        self._service.access.keyring.reload()
        for worker in self._workers:
            if worker.process.pid is not None and worker.process.is_alive():
                os.kill(worker.process.pid, signal.SIGHUP)

    def stop(self) -> int:
        """Have all workers drain and exit, within the drain time plus ``CUT_SECONDS``; return the exit status.

        Workers that are not ready yet are killed at once, and those still running at the end then. The status is 0 if
        every ready worker exited by itself with 0, else 1.
        """
        _log.info("stopping all workers")
        deadline = time.monotonic() + self._service.settings.drain_seconds + CUT_SECONDS
        self._service.listeners.close()
        working = [worker.process for worker in self._workers if worker.starting is None]
        for worker in self._workers:
            if worker.starting is None:
                worker.process.terminate()
            else:
                worker.process.kill()
        for process in working:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.exitcode is None:
                text = "worker %s did not exit in time (drain-seconds); killing it"
                _log.error(text, process.pid, extra={"worker": process.pid})
                process.kill()
        for worker in self._workers:
            worker.process.join()
        return int(any(process.exitcode for process in working))

    def _work(self, slot: int, tell_ready: Connection) -> None:
        signal.set_wakeup_fd(-1)
        os.close(self._alive)
        with logging_in_worker():
            try:
                seat = Seat(self._board, slot, self._counts.share_of(slot), self._orphaned)
                serve_until_stopped(self._service, partial(tell_ready.send, None), seat)
            except StoreUnusableError as error:
                _log.critical("a worker cannot start: %s", error)
                sys.exit(REJECTED)


def _finish_starting(worker: _Worker) -> None:
    """Receive the message of a ready worker; raise ``ChildProcessError`` if it exited without one."""
    assert worker.starting is not None  # noqa: S101 - checked by the caller
    try:
        with worker.starting as ready:
            ready.recv()
    except EOFError:
        worker.process.join()
        status = worker.process.exitcode
        raise ChildProcessError(f"a worker exited with status {status} before it was ready") from None
    worker.starting = None
