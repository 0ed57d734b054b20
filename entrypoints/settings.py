"""The settings, each with one name for the command line, the environment and the configuration file."""

from collections.abc import Callable
from os import fspath
from pathlib import Path
from typing import Any, Final, get_args

import attrs

from entrypoints.authorities import parse_hosts, parse_origins
from entrypoints.database_urls import shown_database
from entrypoints.rates import parse_rate
from entrypoints.root_path import check_root_path

DEFAULT_DB: Final = "./runsink.db"


def shown_name(field: "attrs.Attribute[Any]") -> str:
    """Return a setting's name as used in options, messages and documentation."""
    return field.name.replace("_", "-")


@attrs.frozen
class Range:
    """A validator that accepts whole numbers from ``least`` to ``most``, inclusive, and ``None`` where that is set."""

    least: int
    most: int

    def __call__(self, _settings: object, field: "attrs.Attribute[int]", value: int | None) -> None:
        """Raise ``ValueError`` for a number outside the range."""
        if value is not None and not self.least <= value <= self.most:
            raise ValueError(f"{shown_name(field)} must be {self}, not {value}")

    def __str__(self) -> str:
        return f"from {self.least} to {self.most}"


def kind_of(field: "attrs.Attribute[Any]") -> type:
    """Return the type of a setting's value, ``None`` aside."""
    declared = (field.type, *get_args(field.type))
    return next(kind for kind in (bool, int, Path, str) if kind in declared)


def explain(field: "attrs.Attribute[Any]") -> str:
    """Return what a setting means, and its range if it is a number."""
    text: str = field.metadata["help"]
    return f"{text} A number {field.validator}." if isinstance(field.validator, Range) else text


_SECONDS: Final = Range(1, 24 * 60 * 60)


def _is_partial_status(_settings: object, _field: "attrs.Attribute[int]", value: int) -> None:
    if value not in (500, 207):
        raise ValueError(f"partial-status must be 500 or 207, not {value}")


def _is_rate(_settings: object, field: "attrs.Attribute[str]", value: str) -> None:
    parse_rate(shown_name(field), value)


def _is_one_of(*allowed: str) -> Callable[[object, "attrs.Attribute[str]", str], None]:
    def check(_settings: object, field: "attrs.Attribute[str]", value: str) -> None:
        if value not in allowed:
            raise ValueError(f"{shown_name(field)} must be {', '.join(allowed[:-1])} or {allowed[-1]}, not {value!r}")

    return check


def option(*, help: str, example: str | int | None = None, **definition: Any) -> Any:  # noqa: A002 - click's name for it
    """Return an attrs field with a ``--help`` text; ``definition`` is passed to ``attrs.field``.

    A setting without a default needs an ``example``, which the example of a configuration file shows.
    """
    return attrs.field(metadata={"help": help, "example": example}, **definition)


def _are_origins(_settings: "Settings", _field: "attrs.Attribute[str | None]", value: str | None) -> None:
    parse_origins(value)


def _are_hosts(_settings: "Settings", _field: "attrs.Attribute[str | None]", value: str | None) -> None:
    parse_hosts(value)


def _is_root_path(_settings: "Settings", _field: "attrs.Attribute[str | None]", value: str | None) -> None:
    check_root_path(value)


@attrs.frozen(kw_only=True)
class Settings:
    """The settings of one server. Option ``--name``, variable ``RUNSINK_NAME``, TOML key ``name``.

    Raises:
        ValueError: a value breaks its rule; the message begins with the setting's name.
    """

    host: str = option(default="127.0.0.1", help="Address to listen on.")
    port: int = option(default=8765, validator=Range(0, 65535), help="Port to listen on; 0 picks a free one.")
    root_path: str | None = option(
        default=None,
        example="/runsink",
        validator=_is_root_path,
        help="Path under which a reverse proxy publishes this server, such as /runsink; requests may come with it "
        "or without it.",
    )
    metrics_port: int | None = option(
        default=None,
        example=9108,
        validator=Range(0, 65535),
        help="Separate port for the metrics, on the same host; 0 picks a free one. By default the metrics are on the "
        "main port.",
    )
    db: str = option(
        default=DEFAULT_DB,
        converter=fspath,
        repr=shown_database,
        help="SQLite file that stores the runs, created if missing; or a database URL, postgresql://…",
    )
    partial_status: int = option(
        default=500,
        validator=_is_partial_status,
        help="Status of a lenient upload in which some runs failed: 500 or 207.",
    )
    workers: int = option(
        default=1,
        validator=Range(1, 64),
        help="Processes that serve requests and share the database; 1 runs without a supervisor.",
    )
    spool: Path | None = option(
        default=None,
        example="/var/lib/runsink/spool",
        help="Directory for the bodies of background jobs; by default runsink.db-spool beside a file runsink.db, or "
        "./runsink-spool with PostgreSQL.",
    )
    spool_bytes: int = option(
        default=4 * 1024**3, validator=Range(1, 2**50), help="Maximum bytes of the bodies of all jobs; beyond that 507."
    )
    job_keep_days: int = option(
        default=30, validator=Range(1, 36_500), help="Days after which a finished job is removed."
    )
    max_streams: int = option(
        default=8, validator=Range(1, 1000), help="Concurrent streaming uploads in each process; further ones get 503."
    )
    keep_refusals: int = option(
        default=0,
        validator=Range(0, 100_000),
        help="Rejected runs to keep with what was sent, to be looked at: the last ones, 64 MiB at most; 0 keeps none.",
    )
    otlp_content: bool = option(
        default=False,
        help="Keep the attributes of OpenTelemetry spans that hold messages, prompts and completions; by default they "
        "are dropped.",
    )
    token_file: Path | None = option(
        default=None,
        example="/etc/runsink/tokens",
        help="File of bearer tokens: a name, a scope (read or write) and a secret per line.",
    )
    allow_anonymous: bool = option(
        default=False, help="Let other machines connect although there are no tokens; otherwise only this machine may."
    )
    allowed_origins: str | None = option(
        default=None,
        example="https://app.example",
        validator=_are_origins,
        help="Other origins whose pages may read and write, such as https://app.example, separated by commas.",
    )
    allowed_hosts: str | None = option(
        default=None,
        example="runs.example",
        validator=_are_hosts,
        help="Hosts besides loopback that a server without tokens accepts in Host, separated by commas.",
    )
    rate_requests: str = option(default="off", validator=_is_rate, help="Requests per client, such as 100/second.")
    rate_runs: str = option(
        default="off", validator=_is_rate, help="Uploaded runs per client, such as 5000 per 10 minutes."
    )
    max_connections: int = option(
        default=1000, validator=Range(1, 1_000_000), help="Concurrent connections; further ones get 503 and are closed."
    )
    max_queue_bytes: int = option(
        default=16 * 1024 * 1024,
        validator=Range(1, 2**40),
        help="Request bytes that may wait to be written, and as many response bytes that may wait to be read; "
        "beyond that requests get 503.",
    )
    header_seconds: int = option(default=10, validator=_SECONDS, help="Seconds for the head of a request to arrive.")
    body_seconds: int = option(
        default=60, validator=_SECONDS, help="Seconds for a body to arrive, and for a response to be read."
    )
    idle_seconds: int = option(default=75, validator=_SECONDS, help="Seconds that an idle connection is kept open.")
    drain_seconds: int = option(
        default=30,
        validator=_SECONDS,
        help="Seconds that shutdown waits for requests in flight; then they are aborted.",
    )
    log_format: str = option(
        default="auto",
        validator=_is_one_of("auto", "json", "text"),
        help="Format of the log: json, text, or auto, which is text on a terminal and JSON elsewhere.",
    )
    log_level: str = option(
        default="info",
        validator=_is_one_of("debug", "info", "warning", "error"),
        help="Lowest level that is logged: debug, info, warning or error.",
    )
