"""Map the database setting to a store: an SQLite file by path, or PostgreSQL by URL."""

import re
from pathlib import Path
from typing import Final

from adapters.sqlite import SqliteStore, compaction
from adapters.sqlite.compaction import Space
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
    """Open the store, creating it if missing. It enforces ``max_read_seconds`` of the limits.

    Raises:
        StoreUnusableError: the store cannot be used; the message says why in one line, without the password.
    """
    if not database:
        raise StoreUnusableError("the database name is empty; give a file or a URL such as postgresql://…")
    if not is_url(database):
        return SqliteStore(Path(database), limits)
    shown = shown_database(database)
    if not database.startswith(("postgresql://", "postgres://")):
        raise StoreUnusableError(f"cannot use {shown}: give a file or a URL that begins with postgresql://")
    if not _URL.fullmatch(database):
        raise StoreUnusableError(
            f"cannot use {shown}: not a PostgreSQL URL; percent-encode special characters in names and password"
        )
    try:
        # Imported here because a server on a file does not need the package installed.
        from adapters.postgres import PostgresStore  # noqa: PLC0415
    except ImportError as error:
        raise StoreUnusableError(
            f"cannot use {shown}: PostgreSQL needs extra packages; pip install 'runsink[postgres]' ({error})"
        ) from error
    return PostgresStore(database, shown, limits)


def return_space(database: str) -> Space | None:
    """Give the space of deleted runs back to the disk, as far as possible; ``None`` where the database does so itself.

    The database must exist, and this process must not have it open.

    Raises:
        StoreError: the file failed; it holds the same as before.
    """
    return None if is_url(database) else compaction.return_space(resolve(Path(database)))


def resolve_database(database: str) -> str:
    """Return the resolved path, independent of links and the working directory; return URLs unchanged.

    Raises:
        StoreUnusableError: no file can have this name.
    """
    return database if is_url(database) else str(resolve(Path(database)))


def is_url(database: str) -> bool:
    """Return whether this is a URL rather than a path."""
    return re.match(rf"{_SCHEME}://", database) is not None


def shown_database(database: str) -> str:
    """Return the setting in a form safe to show: a URL without password and parameters."""
    if not is_url(database):
        return database
    match = _URL.fullmatch(database)
    # If a special character is not encoded, the password's extent is unknown.
    return match["before"] + match["after"] if match else f"{database.partition('://')[0]}://…"
