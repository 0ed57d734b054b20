"""The command line: ``runsink serve``."""

import sys
from functools import partial
from typing import Any

import attrs
import click

from core.errors import StoreUnusableError
from entrypoints.configuration import load_settings, tokens_variable
from entrypoints.databases import shown_database
from entrypoints.exits import end_with
from entrypoints.http.guard.access import build_access
from entrypoints.http.transport.connections import reserve_descriptors
from entrypoints.http.transport.listening import Listeners, listen, url_of
from entrypoints.process.supervisor import supervise
from entrypoints.process.worker import Service, serve_until_stopped
from entrypoints.settings import Range, Settings, shown_name


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
        metavar=None if is_flag else "NUMBER" if field.type in (int, int | None) else "TEXT",
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
    try:
        service = _prepare(settings)
    except ValueError as error:
        end_with(error, status=2)
    metrics = f", metrics on {url_of(service.listeners.metrics)}/metrics" if service.listeners.metrics else ""
    greeting = f"runsink listens on {url_of(service.listeners.api)}, database {shown_database(settings.db)}{metrics}"
    greet = partial(click.echo, greeting)
    run = serve_until_stopped if settings.workers == 1 else supervise
    try:
        status = run(service, greet)
    except StoreUnusableError as error:
        end_with(error)
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
