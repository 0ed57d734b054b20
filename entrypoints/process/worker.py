"""A process that serves requests."""

import asyncio
import logging
import signal
from collections.abc import Callable
from functools import partial
from importlib.metadata import version

import attrs

from adapters.deadline import Deadline
from adapters.prometheus import Board, Exposition, Metrics
from entrypoints.application import Application, build_application
from entrypoints.http.guard.access import Access
from entrypoints.http.rejections import Reason
from entrypoints.http.server import Backend, start_server
from entrypoints.http.transport.accepting import ConnectionShare
from entrypoints.http.transport.listening import Listeners
from entrypoints.logs import dropped_lines, log_loop_error
from entrypoints.process.job_service import JobService
from entrypoints.process.memory import return_large_blocks, spare_long_lived_objects
from entrypoints.settings import Settings

STOPPING = (signal.SIGTERM, signal.SIGINT)

_log = logging.getLogger("runsink")


@attrs.frozen
class Service:
    """What every process of one server needs to start."""

    settings: Settings
    access: Access
    listeners: Listeners


@attrs.frozen
class Seat:
    """The place of a worker among the others.

    Its slot on the board of their metrics, its share of their connections, and how it learns of the end.
    """

    board: Board
    slot: int
    share: ConnectionShare
    orphaned: int


def serve_until_stopped(service: Service, announce: Callable[[], None], seat: Seat | None = None) -> int:
    """Serve requests in this process until SIGTERM or SIGINT, then drain; return the exit status.

    SIGHUP reloads the tokens. ``announce`` is called once the server is ready. A worker has a seat; if its file
    descriptor ``orphaned`` becomes readable, that has the effect of SIGTERM.

    Raises:
        StoreUnusableError: the store cannot be opened.
    """
    return_large_blocks()
    metrics = Metrics(version("runsink"), Reason)
    metrics.watch_dropped_log_lines(dropped_lines)
    exposition = Exposition(metrics, seat.board, seat.slot) if seat else Exposition(metrics)
    application = build_application(service.settings, metrics)
    jobs = JobService(application, service.settings)
    time_left = None
    try:
        with exposition.published():
            time_left = asyncio.run(_serve(Backend(application, jobs, exposition), service, announce, seat))
    finally:
        close_all(jobs, application, Deadline(time_left))
    _log.info("stopped")
    return 0


def close_all(jobs: JobService, application: Application, deadline: Deadline) -> None:
    """Stop the jobs, finish the submitted writes and close the store, in the time that is left."""
    jobs.close(within=deadline.left())
    application.close(within=deadline.left())


async def _serve(backend: Backend, service: Service, announce: Callable[[], None], seat: Seat | None) -> float:
    """Serve until stopped; return the seconds left of the drain time."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log_loop_error)
    stop = asyncio.Event()
    actions = dict.fromkeys(STOPPING, stop.set) | {signal.SIGHUP: service.access.keyring.reload}
    for number, action in actions.items():
        signal.signal(number, partial(_call_soon, loop, action))
    # A worker starts with them blocked.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, actions)
    if seat:
        loop.add_reader(seat.orphaned, stop.set)
    share = seat.share if seat else None
    server = await start_server(backend, service.settings, service.access, service.listeners, share)
    spare_long_lived_objects()
    announce()
    await stop.wait()
    if seat:
        loop.remove_reader(seat.orphaned)
    _log.info("draining: accepted requests are answered, new connections are not accepted")
    time_left = await server.close()
    # Ignore a second signal, such as the supervisor's after one from the terminal, during the rest of the shutdown.
    for number in actions:
        signal.signal(number, signal.SIG_IGN)
    return time_left


def _call_soon(loop: asyncio.AbstractEventLoop, action: Callable[[], None], *_signal: object) -> None:
    loop.call_soon_threadsafe(action)
