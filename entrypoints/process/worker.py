"""One process that takes requests."""

import asyncio
import signal
import socket
from collections.abc import Callable, Sequence
from functools import partial

import attrs

from entrypoints.application import Application, build_application
from entrypoints.http.guard.access import Access
from entrypoints.http.server import start_server
from entrypoints.process.job_service import JobService
from entrypoints.settings import Settings

STOPPING = (signal.SIGTERM, signal.SIGINT)


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
    jobs = JobService(application, service.settings)
    time_left = None
    try:
        time_left = asyncio.run(_serve(application, jobs, service, announce, orphaned))
    finally:
        jobs.close(within=time_left)
        application.close(within=time_left)
    return 0


async def _serve(
    application: Application, jobs: JobService, service: Service, announce: Callable[[], None], orphaned: int | None
) -> float:
    """Serve until told to stop; return the seconds of the time for draining that are left."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    actions = dict.fromkeys(STOPPING, stop.set) | {signal.SIGHUP: service.access.keyring.reload}
    for number, action in actions.items():
        signal.signal(number, partial(_call_soon, loop, action))
    # A worker is born with them blocked.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, actions)
    if orphaned is not None:
        loop.add_reader(orphaned, stop.set)
    server = await start_server(application, jobs, service.settings, service.access, service.sockets)
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
