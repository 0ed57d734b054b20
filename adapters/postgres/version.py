"""The version of the store, in a row of each slot, so that no server waits for another to commit."""

from hashlib import blake2b
from typing import Final

import psycopg

from adapters.postgres.errors import translated_errors
from adapters.store_version import new_version
from core.model.store_version import StoreVersion

_READ: Final = b"SELECT slot, version FROM versions ORDER BY slot"
_CHANGE: Final = (
    b"INSERT INTO versions (slot, version) VALUES (%s, %s) ON CONFLICT (slot) DO UPDATE SET version = excluded.version"
)
_BYTES: Final = 12


def read_version(connection: psycopg.Connection) -> StoreVersion:
    """Return the version of the store as the transaction sees it: all slots together."""
    with translated_errors():
        rows = connection.execute(_READ).fetchall()
    return StoreVersion(blake2b(repr(rows).encode(), digest_size=_BYTES).hexdigest())


def change_version(connection: psycopg.Connection, slot: int) -> None:
    """Change the version; the last statement before the commit, because servers with the same slot wait here."""
    with translated_errors():
        connection.execute(_CHANGE, (slot, new_version()))
