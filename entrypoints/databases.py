"""Map the database setting to a store: an SQLite file by path, or PostgreSQL by URL."""

from pathlib import Path
from typing import Final

from adapters.sqlite import SqliteStore, compaction
from adapters.sqlite.compaction import Space
from adapters.sqlite.file import resolve
from core.errors import StoreUnusableError
from core.model.limits import Limits
from core.ports.observer import Observer
from core.ports.store import Store
from entrypoints.database_urls import is_url, is_well_formed, shown_database

_DEFAULT_LIMITS: Final = Limits()


class DatabaseNameError(StoreUnusableError):
    """The setting names no database that could be opened."""


def open_database(database: str, limits: Limits = _DEFAULT_LIMITS, observer: Observer | None = None) -> Store:
    """Open the store, creating it if missing. It enforces ``max_read_seconds`` of the limits.

    The observer is told of the checkpoints of a file.

    Raises:
        DatabaseNameError: the text names no database, or one that needs a package which is not installed.
        StoreUnusableError: the store cannot be used; the message says why in one line, without the password.
    """
    if not database:
        raise DatabaseNameError("the database name is empty; give a file or a URL such as postgresql://…")
    if not is_url(database):
        return SqliteStore(Path(database), limits, observer)
    require_postgres(database)
    # Imported here because a server on a file does not need the package installed.
    from adapters.postgres import PostgresStore  # noqa: PLC0415

    return PostgresStore(database, shown_database(database), limits)


def require_postgres(database: str) -> None:
    """Check a URL, without connecting to it.

    Raises:
        DatabaseNameError: it is none of PostgreSQL, or what it takes to use one is not installed.
    """
    shown = shown_database(database)
    if not database.startswith(("postgresql://", "postgres://")):
        raise DatabaseNameError(f"cannot use {shown}: give a file or a URL that begins with postgresql://")
    if not is_well_formed(database):
        raise DatabaseNameError(
            f"cannot use {shown}: not a PostgreSQL URL; percent-encode special characters in names and password"
        )
    try:
        import adapters.postgres  # noqa: F401, PLC0415 - to see whether it can be
    except ImportError as error:
        raise DatabaseNameError(
            f"cannot use {shown}: PostgreSQL needs extra packages; pip install 'runsink[postgres]' ({error})"
        ) from error


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
