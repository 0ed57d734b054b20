"""Options that several commands share."""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from entrypoints.exits import WRONG_USAGE, end_with

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from adapters.api_client.connection import ApiConnection
    from entrypoints.configuration import Loaded

DEFAULT_URL: Final = "http://127.0.0.1:8765"
DEFAULT_RETRY_SECONDS: Final = 300.0
TIMEOUT_SECONDS: Final = 120.0
"""How long a server may be silent. A busy one slows an upload down, which is not yet a failure."""

_TOKEN_VARIABLE: Final = "RUNSINK_TOKEN"  # noqa: S105 - the name of the variable

_Command = TypeVar("_Command", bound=Callable[..., Any])


def check_url(context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Return the URL of a server as it is; raise ``click.BadParameter`` for any other text."""
    if value is not None and not context.resilient_parsing:
        # Imported here because help and completion need no client.
        from adapters.api_client.connection import Address  # noqa: PLC0415

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


def connect(url: str) -> "ApiConnection":
    """Return a connection to the server, with the token of the environment."""
    from adapters.api_client.connection import ApiConnection  # noqa: PLC0415 - as above

    return ApiConnection(url, token=os.environ.get(_TOKEN_VARIABLE) or None, timeout=TIMEOUT_SECONDS)


def complete_paths(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list["CompletionItem"]:
    """Have the shell complete the name of a file; what is given is not looked at, unlike by ``click.Path``."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - only a completion needs it

    return [CompletionItem(incomplete, type="file")]


def load_or_end(options: Mapping[str, str | bool | None]) -> "Loaded":
    """Return the settings in force with these options, where given; end with 2 and one line if any is invalid."""
    from entrypoints.configuration import load_settings  # noqa: PLC0415 - help and completion read no settings

    try:
        return load_settings({name: value for name, value in options.items() if value is not None})
    except ValueError as error:
        end_with(error, WRONG_USAGE)


def _database_in_force(context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None or context.resilient_parsing:
        return value
    return load_or_end({}).settings.db


def database_option() -> Callable[[_Command], _Command]:
    """Return the option ``--db``; without it the command gets the database that ``runsink serve`` would use."""
    return click.option(
        "--db",
        metavar="DB",
        callback=_database_in_force,
        shell_complete=complete_paths,
        help="SQLite file, or a URL postgresql://…; by default the database of serve: RUNSINK_DB, else the key db in "
        "runsink.toml, else ./runsink.db.",
    )
