"""Options that several commands share."""

import os
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from adapters.api_client.connection import Address, ApiConnection

DEFAULT_URL: Final = "http://127.0.0.1:8765"
DEFAULT_RETRY_SECONDS: Final = 300.0
TIMEOUT_SECONDS: Final = 120.0
"""How long a server may be silent. A busy one slows an upload down, which is not yet a failure."""

_TOKEN_VARIABLE: Final = "RUNSINK_TOKEN"  # noqa: S105 - the name of the variable

_Command = TypeVar("_Command", bound=Callable[..., Any])


def check_url(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Return the URL of a server as it is; raise ``click.BadParameter`` for any other text."""
    if value is not None:
        try:
            Address.parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return value


def url_option(default: str | None = DEFAULT_URL) -> Callable[[_Command], _Command]:
    """Return the option ``--url``, which is also ``RUNSINK_URL``."""
    return click.option(
        "--url",
        default=default,
        envvar="RUNSINK_URL",
        show_default=default or False,
        callback=check_url,
        help="Server to talk to; also RUNSINK_URL. Its token comes from RUNSINK_TOKEN.",
    )


retry_option: Callable[[_Command], _Command] = click.option(
    "--retry-seconds",
    default=DEFAULT_RETRY_SECONDS,
    show_default="300",
    type=click.FloatRange(0, 7 * 24 * 60 * 60),
    metavar="SECONDS",
    help="How long to go on trying while the server makes no progress.",
)

json_option: Callable[[_Command], _Command] = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object instead of text."
)


def connect(url: str) -> ApiConnection:
    """Return a connection to the server, with the token of the environment."""
    return ApiConnection(url, token=os.environ.get(_TOKEN_VARIABLE) or None, timeout=TIMEOUT_SECONDS)
