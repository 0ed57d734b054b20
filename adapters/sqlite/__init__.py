"""Runs stored in one SQLite file, through APSW."""

from adapters.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
