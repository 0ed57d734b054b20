"""Runs stored in PostgreSQL, or in an engine that speaks its protocol, through psycopg."""

from adapters.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
