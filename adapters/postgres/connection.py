"""Opening connections: the URL, its checks, and the settings every connection has."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool

from adapters.postgres.privileges import NEEDED_PRIVILEGES, check_privileges
from adapters.postgres.schema import migrate
from core.errors import StoreError, StoreUnusableError

MAX_CONNECTIONS: Final = 8
"""One that writes, and one for each reader; more than the HTTP server ever has at once."""

PATIENCE_SECONDS: Final = 3.0
"""How long a request waits for a connection before it is told to come again."""

_DEFAULTS: Final[Mapping[str, str | int]] = {
    "application_name": "runsink",
    "connect_timeout": 5,
    # A peer that is gone without a word is noticed within half a minute
    # (https://www.postgresql.org/docs/current/libpq-connect.html).
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""What the URL does not say."""

SESSION: Final[dict[str, str]] = {
    # No statement and no lock is waited for longer than a client waits.
    "lock_timeout": "10s",
    "statement_timeout": "60s",
    # A server that stands still in a transaction gives back what it has locked.
    "idle_in_transaction_session_timeout": "60s",
    "client_encoding": "UTF8",
}
"""What every session is set to."""

_log = logging.getLogger("runsink")

_DURABLE = (
    # Committed means on disk, whatever the database's own default; remote_apply promises even more
    # (https://www.postgresql.org/docs/current/runtime-config-wal.html).
    "SELECT set_config('synchronous_commit', "
    "CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)"
)


def open_pool(url: str, shown: str) -> ConnectionPool:
    """Connect, bring the database to the current schema version, and open a pool of connections.

    ``shown`` is the URL as it may be shown.

    Raises:
        StoreUnusableError: the database cannot serve; the message says why in one line.
    """
    conninfo = _conninfo(url, shown)
    with _explained(shown), psycopg.connect(conninfo, autocommit=True) as connection:
        configure(connection)
        _check_encoding(connection)
        migrate(connection)
        _warn_of_reading_only(connection, shown)
    pool = ConnectionPool(
        conninfo,
        min_size=1,
        max_size=MAX_CONNECTIONS,
        kwargs={"autocommit": True},
        configure=configure,
        # A connection that broke while nobody used it is noticed here and not by a request.
        check=ConnectionPool.check_connection,
        timeout=PATIENCE_SECONDS,
        # After so long the pool gives up, and the next request makes it try at once.
        reconnect_timeout=PATIENCE_SECONDS,
        num_workers=2,
        open=True,
    )
    with _explained(shown):
        pool.wait()
    return pool


def configure(connection: psycopg.Connection) -> None:
    """Give a new connection the settings that every session needs."""
    for name, value in SESSION.items():
        connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    connection.execute(_DURABLE)


def _conninfo(url: str, shown: str) -> str:
    try:
        given = {name: value for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.ProgrammingError:
        # libpq's message may repeat the password.
        raise StoreUnusableError(
            f"cannot use {shown}: it is not a PostgreSQL URL; check its parameters and percent-encoding"
        ) from None
    return make_conninfo("", **{**_DEFAULTS, **given})


def _check_encoding(connection: psycopg.Connection) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in ("UTF8", None):
        raise StoreUnusableError(f"its encoding is {encoding}, which cannot keep every text; create it with UTF8")


def _warn_of_reading_only(connection: psycopg.Connection, shown: str) -> None:
    """Tell the operator of a role that may not write; with it, reading works nevertheless."""
    try:
        check_privileges(connection)
    except StoreError as error:
        _log.warning("%s can only be read: %s", shown, error)


@contextmanager
def _explained(shown: str) -> Iterator[None]:
    """Say of every way to fail which database it was about, in one line."""
    try:
        yield
    except StoreUnusableError as error:
        raise StoreUnusableError(f"cannot use {shown}: {error}") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreUnusableError(
            f"cannot use {shown}: {error.diag.message_primary}; the first start takes a role that may create tables, "
            f"and of every later one {NEEDED_PRIVILEGES}"
        ) from error
    except psycopg.Error as error:
        raise StoreUnusableError(f"cannot use {shown}: {' '.join(str(error).split())}") from error
