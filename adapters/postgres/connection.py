"""Opening connections: the URL, the checks, and the settings of every connection."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool

from adapters.postgres.binary_arrays import register_arrays
from adapters.postgres.privileges import NEEDED_PRIVILEGES, check_privileges
from adapters.postgres.schema import check_layout, migrate
from core.errors import StoreBusyError, StoreError, StoreUnusableError

MAX_CONNECTIONS: Final = 8
"""One for writing, and one for each reader; more than the HTTP server ever uses at once."""

POOL_TIMEOUT_SECONDS: Final = 3.0
"""How long a request waits for a connection before it is told to retry."""

_DEFAULTS: Final[Mapping[str, str | int]] = {
    "application_name": "runsink",
    "connect_timeout": 5,
    # A peer that vanishes silently is noticed within half a minute
    # (https://www.postgresql.org/docs/current/libpq-connect.html).
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""Parameters that the URL may override."""

SESSION: Final[dict[str, str]] = {
    # No statement runs, and no lock is awaited, longer than a client waits.
    "lock_timeout": "10s",
    "statement_timeout": "60s",
    # A server that hangs in a transaction loses its locks.
    "idle_in_transaction_session_timeout": "60s",
    "client_encoding": "UTF8",
}
"""The settings of every session."""

_log = logging.getLogger("runsink")

_DURABLE = (
    # Committed means on disk, whatever the database's default; remote_apply guarantees even more
    # (https://www.postgresql.org/docs/current/runtime-config-wal.html).
    "SELECT set_config('synchronous_commit', "
    "CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)"
)


def open_pool(url: str, shown: str) -> ConnectionPool:
    """Connect, migrate the database to the current schema version, and open a connection pool.

    ``shown`` is the URL without secrets.

    Raises:
        StoreUnusableError: the database cannot be used; the message says why in one line.
    """
    conninfo = _conninfo(url, shown)
    with _explain_errors(shown), psycopg.connect(conninfo, autocommit=True) as connection:
        configure(connection)
        _check_encoding(connection)
        migrate(connection)
        check_layout(connection)
        _warn_if_read_only(connection, shown)
    pool = ConnectionPool(
        conninfo,
        min_size=1,
        max_size=MAX_CONNECTIONS,
        kwargs={"autocommit": True},
        configure=configure,
        # A connection that broke while idle is noticed here, not by a request.
        check=ConnectionPool.check_connection,
        timeout=POOL_TIMEOUT_SECONDS,
        # After this long the pool gives up, and the next request makes it retry at once.
        reconnect_timeout=POOL_TIMEOUT_SECONDS,
        num_workers=2,
        open=True,
    )
    with _explain_errors(shown):
        pool.wait()
    return pool


def open_for_check(url: str, shown: str) -> psycopg.Connection:
    """Open a connection that changes nothing and whose statements may take long; ``shown`` as in ``open_pool``.

    Raises:
        StoreUnusableError: the database cannot be used; the message says why in one line.
        StoreBusyError: it cannot be reached.
    """
    conninfo = _conninfo(url, shown)
    with _explain_errors(shown):
        try:
            connection = psycopg.connect(conninfo)
        except psycopg.OperationalError as error:
            raise StoreBusyError(f"cannot reach {shown}: {' '.join(str(error).split())}") from error
        configure(connection)
        connection.execute("SELECT set_config('statement_timeout', '0', false)")
        connection.commit()
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
    return connection


def configure(connection: psycopg.Connection) -> None:
    """Apply the settings of every session to a new connection, which then takes binary arrays."""
    register_arrays(connection)
    for name, value in SESSION.items():
        connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    connection.execute(_DURABLE)


def _conninfo(url: str, shown: str) -> str:
    try:
        given = {name: value for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.ProgrammingError:
        # libpq's message may contain the password.
        raise StoreUnusableError(
            f"cannot use {shown}: it is not a PostgreSQL URL; check its parameters and percent-encoding"
        ) from None
    return make_conninfo("", **{**_DEFAULTS, **given})


def _check_encoding(connection: psycopg.Connection) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in ("UTF8", None):
        raise StoreUnusableError(f"its encoding is {encoding}, which cannot store every text; create it with UTF8")


def _warn_if_read_only(connection: psycopg.Connection, shown: str) -> None:
    """Warn the operator if the role may not write; reading works anyway."""
    try:
        check_privileges(connection)
    except StoreError as error:
        _log.warning("%s is read-only: %s", shown, error)


@contextmanager
def _explain_errors(shown: str) -> Iterator[None]:
    """Raise every error as a one-line ``StoreUnusableError`` that names the database."""
    try:
        yield
    except StoreUnusableError as error:
        raise StoreUnusableError(f"cannot use {shown}: {error}", retryable=error.retryable) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreUnusableError(
            f"cannot use {shown}: {error.diag.message_primary}; the first start needs a role that may create tables; "
            f"on later starts {NEEDED_PRIVILEGES}"
        ) from error
    except psycopg.Error as error:
        retryable = isinstance(error, psycopg.OperationalError)
        raise StoreUnusableError(f"cannot use {shown}: {' '.join(str(error).split())}", retryable=retryable) from error
