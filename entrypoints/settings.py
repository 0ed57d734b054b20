"""What can be set, under one name each for the command line, the environment and the configuration file."""

import os
from pathlib import Path
from typing import Final

import attrs
import typed_settings as ts

from entrypoints.databases import shown_database
from entrypoints.http.authorities import parse_hosts, parse_origins

DEFAULT_DB: Final = "./runsink.db"


def _is_port(_settings: "Settings", _field: "attrs.Attribute[int]", value: int) -> None:
    if not 0 <= value <= 65535:
        raise ValueError(f"port must be from 0 to 65535, not {value}")


def _is_partial_status(_settings: "Settings", _field: "attrs.Attribute[int]", value: int) -> None:
    if value not in (500, 207):
        raise ValueError(f"partial-status must be 500 or 207, not {value}")


def _is_positive(_settings: "Settings", field: "attrs.Attribute[int]", value: int) -> None:
    if value < 1:
        raise ValueError(f"{field.name.replace('_', '-')} must be at least 1, not {value}")


def _are_origins(_settings: "Settings", _field: "attrs.Attribute[str | None]", value: str | None) -> None:
    parse_origins(value)


def _are_hosts(_settings: "Settings", _field: "attrs.Attribute[str | None]", value: str | None) -> None:
    parse_hosts(value)


@attrs.frozen(kw_only=True)
class Settings:
    """The settings of one server. Option ``--name``, variable ``RUNSINK_NAME``, TOML key ``name``."""

    host: str = ts.option(default="127.0.0.1", help="Address to listen on.")
    port: int = ts.option(default=8765, validator=_is_port, help="Port to listen on; 0 takes a free one.")
    db: str = ts.option(
        default=DEFAULT_DB,
        converter=str,
        repr=shown_database,
        # The help shows what is set already, and that may hold a password.
        click={"show_default": DEFAULT_DB},
        help="SQLite file that keeps the runs, created if missing; or the URL of a database, postgresql://…",
    )
    partial_status: int = ts.option(
        default=500,
        validator=_is_partial_status,
        help="Status of a lenient upload of which some runs failed: 500 or 207.",
    )
    workers: int = ts.option(
        default=1,
        validator=_is_positive,
        help="Processes that take requests and share the database; 1 does without a supervising process.",
    )
    token_file: Path | None = ts.option(
        default=None, help="File of bearer tokens: a name, a scope (read or write) and a secret a line."
    )
    allow_anonymous: bool = ts.option(
        default=False, help="Let other machines in though no token is set; without it only this machine may connect."
    )
    allowed_origins: str | None = ts.option(
        default=None,
        validator=_are_origins,
        help="Origins whose pages may read and write as well, such as https://app.example; commas between them.",
    )
    allowed_hosts: str | None = ts.option(
        default=None,
        validator=_are_hosts,
        help="Hosts besides loopback by which the server may be called while it has no tokens; commas between them.",
    )
    rate_requests: str = ts.option(default="off", help="Requests that a client may make, such as 100/second.")
    rate_runs: str = ts.option(default="off", help="Runs that a client may upload, such as 5000 per 10 minutes.")
    max_connections: int = ts.option(
        default=1000, validator=_is_positive, help="Connections at once; more are answered 503 and closed."
    )
    max_queue_bytes: int = ts.option(
        default=16 * 1024 * 1024,
        validator=_is_positive,
        help="Bytes of bodies that may wait to be written, and as many of responses that may wait to be read; "
        "more is answered 503.",
    )
    header_seconds: int = ts.option(
        default=10, validator=_is_positive, help="Seconds that the head of a request may take to arrive."
    )
    body_seconds: int = ts.option(
        default=60,
        validator=_is_positive,
        help="Seconds that a body may take to arrive, and an answer to be read.",
    )
    idle_seconds: int = ts.option(
        default=75, validator=_is_positive, help="Seconds that a connection may be kept open without a request."
    )
    drain_seconds: int = ts.option(
        default=30,
        validator=_is_positive,
        help="Seconds that stopping waits for requests that have begun; then they are cut.",
    )


def settings_file() -> Path:
    """The file with settings: the one that ``RUNSINK_CONFIG`` names, else ``runsink.toml`` where we are."""
    return Path(os.environ.get("RUNSINK_CONFIG", "runsink.toml"))


def tokens_variable() -> str | None:
    """What the environment has of tokens; never an option, which everybody on the machine could see."""
    return os.environ.get("RUNSINK_TOKENS")


def loaders() -> list[ts.loaders.Loader]:
    """Where settings come from besides the command line: the file, and the environment, which beats it.

    Raises:
        ValueError: the file that ``RUNSINK_CONFIG`` names is missing.
    """
    file = settings_file()
    if "RUNSINK_CONFIG" in os.environ and not file.is_file():
        raise ValueError(f"RUNSINK_CONFIG names {file}, and there is no such file")
    return [ts.FileLoader({"*": ts.TomlFormat("runsink")}, files=[file]), ts.EnvLoader("RUNSINK_")]
