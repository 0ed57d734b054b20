"""What ``runsink serve`` does; its options are in ``serve_command``."""

import sys
from functools import partial

import attrs

from core.errors import StoreUnusableError
from entrypoints.cli.databases import status_of
from entrypoints.cli.terminal import print_result
from entrypoints.configuration import tokens_variable
from entrypoints.database_urls import shown_database
from entrypoints.exits import end_with
from entrypoints.http.guard.access import build_access
from entrypoints.http.transport.connections import reserve_descriptors
from entrypoints.http.transport.listening import Listeners, listen, url_of
from entrypoints.process.supervisor import supervise
from entrypoints.process.worker import Service, serve_until_stopped
from entrypoints.settings import Settings


def serve(settings: Settings) -> None:
    """Take runs over HTTP until SIGTERM or SIGINT; end with one line where that is not possible."""
    try:
        service = _prepare(settings)
    except ValueError as error:
        end_with(error, status=2)
    metrics = f", metrics on {url_of(service.listeners.metrics)}/metrics" if service.listeners.metrics else ""
    greeting = f"runsink listens on {url_of(service.listeners.api)}, database {shown_database(settings.db)}{metrics}"
    greet = partial(print_result, greeting)
    run = serve_until_stopped if settings.workers == 1 else supervise
    try:
        status = run(service, greet)
    except StoreUnusableError as error:
        end_with(error, status_of(error))
    if status:
        sys.exit(status)


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
