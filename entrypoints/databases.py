"""Which store a database setting means: the path of an SQLite file, or the URL of a PostgreSQL database."""

import re
from pathlib import Path
from typing import Final

from adapters.sqlite import SqliteStore
from adapters.sqlite.file import resolve
from core.errors import StoreUnusableError
from core.model.limits import Limits
from core.ports.store import Store

_DEFAULT_LIMITS: Final = Limits()

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*"
_HOST = r"(?:\[[^\]@]*\]|[^\[\]@:/?#,]*)(?::[0-9]*)?"
_URL = re.compile(
    rf"(?P<before>{_SCHEME}://[^:@/?#]*?)(?::[^@/?#]*(?=@))?(?P<after>@?{_HOST}(?:,{_HOST})*(?:/[^@?#]*)?)(?:\?[^@]*)?"
)


def open_database(database: str, limits: Limits = _DEFAULT_LIMITS) -> Store:
    """Open the store, creating it if it is missing. Of the limits, it keeps ``max_read_seconds``.

    Raises:
        StoreUnusableError: it cannot serve; the message says why in one line, without the password.
    """
    if not database:
        raise StoreUnusableError("the name of the database is empty; name a file, or a URL like postgresql://…")
    if not is_url(database):
        return SqliteStore(Path(database), limits)
    shown = shown_database(database)
    if not database.startswith(("postgresql://", "postgres://")):
        raise StoreUnusableError(f"cannot use {shown}: name a file, or a URL that begins with postgresql://")
    if not _URL.fullmatch(database):
        raise StoreUnusableError(
            f"cannot use {shown}: it is not a PostgreSQL URL; in names and password percent-encode special characters"
        )
    try:
        # Here, because a server on a file needs none of it, nor need it be installed.
        from adapters.postgres import PostgresStore  # noqa: PLC0415
    except ImportError as error:
        raise StoreUnusableError(
            f"cannot use {shown}: PostgreSQL needs more packages; pip install 'runsink[postgres]' ({error})"
        ) from error
    return PostgresStore(database, shown, limits)


def resolve_database(database: str) -> str:
    """Return the setting so that it means the same file whatever links and working directory change; URLs as they are.

    Raises:
        StoreUnusableError: no file can have this name.
    """
    return database if is_url(database) else str(resolve(Path(database)))


def is_url(database: str) -> bool:
    """Whether this is a URL and no path."""
    return re.match(rf"{_SCHEME}://", database) is not None


def shown_database(database: str) -> str:
    """The setting as it may be shown to anybody: of a URL without password and parameters."""
    if not is_url(database):
        return database
    match = _URL.fullmatch(database)
    # Where a special character was not encoded, nobody can tell which part is the password.
    return match["before"] + match["after"] if match else f"{database.partition('://')[0]}://…"
