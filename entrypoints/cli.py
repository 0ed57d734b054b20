"""The command line: ``runsink serve``."""

import asyncio
import signal
import sys
from pathlib import Path

import click
import typed_settings as ts

from core.errors import StoreUnusableError
from entrypoints.application import Application, build_application
from entrypoints.http.server import start_server
from entrypoints.settings import Settings

_CONFIG_FILE = Path("runsink.toml")


@click.group()
@click.version_option(package_name="runsink")
def main() -> None:
    """Keeps the runs that agents, pipelines and LLM workers upload."""


def _loaders() -> list[ts.loaders.Loader]:
    file = ts.FileLoader({"*.toml": ts.TomlFormat("runsink")}, files=[_CONFIG_FILE], env_var="RUNSINK_CONFIG")
    return [file, ts.EnvLoader("RUNSINK_")]


@main.command()
@ts.click_options(Settings, _loaders())
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
