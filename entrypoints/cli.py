"""The command line: ``runsink serve``."""

import sys
from functools import partial

import click
import typed_settings as ts
from typed_settings.exceptions import TsError

from core.errors import StoreUnusableError
from entrypoints.databases import shown_database
from entrypoints.http.access import build_access
from entrypoints.http.connections import reserve_descriptors
from entrypoints.http.listening import listen, url_of
from entrypoints.migration import migrate_store
from entrypoints.settings import Settings, loaders, settings_file, tokens_variable
from entrypoints.workers import Service, serve_until_told, supervise


def main() -> None:
    """Run the command line; anything that is set wrongly ends it with one line and status 2."""
    try:
        _build_command()()
    except (TsError, ValueError) as error:
        sources = f"options, RUNSINK_ variables, {settings_file()}"
        click.echo(f"runsink: invalid setting ({sources}): {_first_cause(error)}", err=True)
        sys.exit(2)


def _build_command() -> click.Command:
    """The command line. Building it reads the configuration, whose values are shown as defaults."""
    group = click.version_option(package_name="runsink")(
        click.Group("runsink", help="Keeps the runs that agents, pipelines and LLM workers upload.")
    )
    group.add_command(click.command(ts.click_options(Settings, loaders())(serve)))
    group.add_command(migrate_store)
    return group


def serve(settings: Settings) -> None:
    """Take runs over HTTP until SIGTERM or SIGINT."""
    try:
        access = build_access(settings, tokens_variable())
        reserve_descriptors(settings.max_connections)
        sockets = listen(settings.host, settings.port)
    except OSError as error:
        reason = error.strerror or str(error)
        sys.exit(f"runsink: cannot listen on {settings.host} port {settings.port}: {reason}")
    greet = partial(click.echo, f"runsink listens on {url_of(sockets)}, database {shown_database(settings.db)}")
    run = serve_until_told if settings.workers == 1 else supervise
    try:
        status = run(Service(settings, access, sockets), greet)
    except StoreUnusableError as error:
        sys.exit(f"runsink: {error}")
    if status:
        sys.exit(status)


def _first_cause(error: BaseException) -> str:
    """What is wrong in one line, without the layers around it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return " ".join(str(error).split())
