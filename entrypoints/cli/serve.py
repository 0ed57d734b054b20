"""What ``runsink serve`` does; its options are in ``commands/serve``."""

import logging
import os
import subprocess
import sys
from importlib.metadata import version
from typing import Final

import attrs

from core.errors import StoreUnusableError
from entrypoints.cli.databases import status_of
from entrypoints.cli.terminal import print_result
from entrypoints.configuration import tokens_variable
from entrypoints.database_urls import shown_database
from entrypoints.exits import end_with
from entrypoints.http.guard.access import build_access
from entrypoints.http.transport.connection_limits import reserve_descriptors
from entrypoints.http.transport.listening import Listeners, listen, page_url_of, url_of
from entrypoints.logs import logging_to_stderr
from entrypoints.process.supervisor import supervise
from entrypoints.process.worker import Service, serve_until_stopped
from entrypoints.settings import Settings

_log: Final = logging.getLogger("runsink")


def serve(settings: Settings, *, opens: bool) -> None:
    """Take runs over HTTP until SIGTERM or SIGINT; end with one line where that is not possible.

    ``opens`` shows the page in a browser once the server listens.
    """
    with logging_to_stderr(settings):
        try:
            service = _prepare(settings)
        except ValueError as error:
            end_with(error, status=2)
        run = serve_until_stopped if settings.workers == 1 else supervise
        try:
            status = run(service, lambda: _announce(service, opens=opens))
        except StoreUnusableError as error:
            end_with(error, status_of(error))
        if status:
            sys.exit(status)


def _announce(service: Service, *, opens: bool) -> None:
    """Say that the server is ready: on stdout for people and scripts, in the log, and on request in a browser."""
    settings, listeners = service.settings, service.listeners
    url, database = url_of(listeners.api), shown_database(settings.db)
    metrics = f"{url_of(listeners.metrics)}/metrics" if listeners.metrics else None
    page = page_url_of(listeners.api)
    rest = f", metrics on {metrics}" if metrics else ""
    print_result(f"runsink listens on {url}, page {page}, database {database}{rest}")
    fields = {"url": url, "database": database, "version": version("runsink"), "workers": settings.workers}
    _log.info("listening", extra=fields)
    if opens:
        _open(page)


def _open(page: str) -> None:
    """Open a browser, which may take seconds to start or run until it is closed, without waiting for it."""
    # Not in this process: a browser in the terminal would block the server, and a thread must not live on in workers.
    nothing = subprocess.DEVNULL
    command = [sys.executable, "-m", "webbrowser", page]
    # Tokens may be among the settings in the environment, and are none of a browser's business.
    env = {name: value for name, value in os.environ.items() if not name.startswith("RUNSINK_")}
    subprocess.Popen(command, env=env, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)  # noqa: S603 - this Python


def _prepare(settings: Settings) -> Service:
    """Do what has to be done before there are processes; raise ``ValueError`` for what cannot go together."""
    port = settings.port
    try:
        access = build_access(settings, tokens_variable())
        reserve_descriptors(settings.max_connections)
        listeners = Listeners(listen(settings.host, port))
        if settings.metrics_port is not None:
            port = settings.metrics_port
            listeners = attrs.evolve(listeners, metrics=listen(settings.host, port))
        return Service(settings, access, listeners)
    except (OSError, UnicodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        end_with(f"cannot listen on {settings.host} port {port}: {reason}")
