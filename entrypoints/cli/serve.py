"""What ``runsink serve`` does; its options are in ``serve_command``."""

import sys
from functools import partial

from core.errors import StoreUnusableError
from entrypoints.cli.databases import status_of
from entrypoints.cli.terminal import print_result
from entrypoints.configuration import tokens_variable
from entrypoints.database_urls import shown_database
from entrypoints.exits import end_with
from entrypoints.http.guard.access import build_access
from entrypoints.http.transport.connections import reserve_descriptors
from entrypoints.http.transport.listening import listen, url_of
from entrypoints.process.supervisor import supervise
from entrypoints.process.worker import Service, serve_until_stopped
from entrypoints.settings import Settings


def serve(settings: Settings) -> None:
    """Take runs over HTTP until SIGTERM or SIGINT; end with one line where that is not possible."""
    try:
        service = _prepare(settings)
    except ValueError as error:
        end_with(error, status=2)
    greet = partial(
        print_result, f"runsink listens on {url_of(service.sockets)}, database {shown_database(settings.db)}"
    )
    run = serve_until_stopped if settings.workers == 1 else supervise
    try:
        status = run(service, greet)
    except StoreUnusableError as error:
        end_with(error, status_of(error))
    if status:
        sys.exit(status)


def _prepare(settings: Settings) -> Service:
    """Do what has to be done before there are processes; raise ``ValueError`` for what cannot go together."""
    try:
        access = build_access(settings, tokens_variable())
        reserve_descriptors(settings.max_connections)
        return Service(settings, access, listen(settings.host, settings.port))
    except (OSError, UnicodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        end_with(f"cannot listen on {settings.host} port {settings.port}: {reason}")
