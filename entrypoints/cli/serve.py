"""The command line: ``runsink serve``."""

import logging
import sys
from importlib.metadata import version
from typing import Any, Final

import attrs
import click

from core.errors import StoreUnusableError
from entrypoints.configuration import load_settings, tokens_variable
from entrypoints.databases import shown_database
from entrypoints.exits import end_with
from entrypoints.http.guard.access import build_access
from entrypoints.http.transport.connections import reserve_descriptors
from entrypoints.http.transport.listening import listen, url_of
from entrypoints.logs import logging_to_stderr
from entrypoints.process.supervisor import supervise
from entrypoints.process.worker import Service, serve_until_stopped
from entrypoints.settings import Range, Settings, shown_name

_log: Final = logging.getLogger("runsink")


def _option(field: "attrs.Attribute[Any]") -> click.Option:
    """Return the option of a setting. Its value is a text, so that all ways to set it are read alike."""
    name, is_flag = shown_name(field), field.type is bool
    parts = [field.metadata["help"]]
    if isinstance(field.validator, Range):
        parts.append(f"A number {field.validator}.")
    if field.default is not None:
        parts.append(f" [default: {f'no-{name}' if is_flag else field.default}]")
    return click.Option(
        [f"--{name}/--no-{name}" if is_flag else f"--{name}"],
        default=None,
        help=" ".join(parts),
        metavar=None if is_flag else "NUMBER" if field.type is int else "TEXT",
    )


def _serve(**options: str | bool | None) -> None:
    """Serve with what is set."""
    try:
        settings = load_settings({name: value for name, value in options.items() if value is not None})
    except ValueError as error:
        end_with(error, status=2)
    serve(settings)


serve_command = click.Command(
    "serve",
    params=[_option(field) for field in attrs.fields(Settings)],
    callback=_serve,
    help="Take runs over HTTP until SIGTERM or SIGINT.",
)


def serve(settings: Settings) -> None:
    """Take runs over HTTP until SIGTERM or SIGINT; end with one line where that is not possible."""
    with logging_to_stderr(settings):
        try:
            service = _prepare(settings)
        except ValueError as error:
            end_with(error, status=2)
        run = serve_until_stopped if settings.workers == 1 else supervise
        try:
            status = run(service, lambda: _announce(service))
        except StoreUnusableError as error:
            end_with(error)
        if status:
            sys.exit(status)


def _announce(service: Service) -> None:
    """Say that the server is ready: on stdout for people and scripts, and in the log."""
    settings = service.settings
    url, database = url_of(service.sockets), shown_database(settings.db)
    click.echo(f"runsink listens on {url}, database {database}")
    fields = {"url": url, "database": database, "version": version("runsink"), "workers": settings.workers}
    _log.info("listening", extra=fields)


def _prepare(settings: Settings) -> Service:
    """Do what has to be done before there are processes; raise ``ValueError`` for what cannot go together."""
    try:
        access = build_access(settings, tokens_variable())
        reserve_descriptors(settings.max_connections)
        return Service(settings, access, listen(settings.host, settings.port))
    except (OSError, UnicodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        end_with(f"cannot listen on {settings.host} port {settings.port}: {reason}")
