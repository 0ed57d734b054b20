"""The command line: ``runsink serve``."""

import asyncio
import signal
import sys

import click
import typed_settings as ts
from typed_settings.exceptions import TsError

from core.errors import StoreUnusableError
from entrypoints.application import Application, build_application
from entrypoints.http.server import start_server
from entrypoints.settings import Settings, loaders, settings_file


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
    return group


def serve(settings: Settings) -> None:
    """Take runs over HTTP until SIGTERM or SIGINT."""
    try:
        application = build_application(settings)
    except StoreUnusableError as error:
        sys.exit(f"runsink: {error}")
    try:
        asyncio.run(_serve(application, settings))
    except OSError as error:
        reason = error.strerror or str(error)
        sys.exit(f"runsink: cannot listen on {settings.host} port {settings.port}: {reason}")
    finally:
        application.close()


async def _serve(application: Application, settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await start_server(application, settings)
    click.echo(f"runsink listens on {server.url}, database {settings.db}")
    await stop.wait()
    await server.close()


def _first_cause(error: BaseException) -> str:
    """What is wrong in one line, without the layers around it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return " ".join(str(error).split())
