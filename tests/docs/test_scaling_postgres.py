"""The privileges that ``docs/explanation/scaling.md`` grants are what a server needs."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from adapters.postgres.privileges import check_privileges
from core.errors import StoreError
from entrypoints.databases import open_database
from tests.docs.pages import DOCS, blocks_of

ROLE = f"runsink_test_{uuid4().hex}"


def granted() -> list[str]:
    """Return the statements of the page."""
    blocks = blocks_of(DOCS / "explanation" / "scaling.md")
    (text,) = (block.text for block in blocks if block.text.startswith("GRANT"))
    return text.splitlines()


@pytest.fixture
def admin(postgres_url: str) -> Iterator[psycopg.Connection]:
    """Open a connection to a database with all tables; nothing that it does is kept."""
    open_database(postgres_url).close()
    with psycopg.connect(postgres_url) as connection:
        yield connection
        connection.rollback()


def become(admin: psycopg.Connection, statements: list[str]) -> None:
    """Make a role, execute these statements for it, and become it."""
    ((schema,),) = admin.execute("SELECT current_schema()").fetchall()
    admin.execute(SQL("CREATE ROLE {}").format(Identifier(ROLE)))
    for statement in statements:
        ours = statement.replace("SCHEMA public", f'SCHEMA "{schema}"').replace("TO runsink;", f"TO {ROLE}")
        admin.execute(ours)
    admin.execute(SQL("SET ROLE {}").format(Identifier(ROLE)))


def start_up(admin: psycopg.Connection) -> None:
    """Do what a server does when it starts; raise if the role may not."""
    admin.execute("SELECT count(*) FROM runsink_schema")
    check_privileges(admin)


def test_the_granted_privileges_suffice(admin: psycopg.Connection) -> None:
    """A role with them may write, and may read the version of the schema."""
    become(admin, granted())
    start_up(admin)


@pytest.mark.parametrize("left_out", granted())
def test_each_granted_privilege_is_needed(admin: psycopg.Connection, left_out: str) -> None:
    """Without any of the statements a server could not start or not write."""
    become(admin, [statement for statement in granted() if statement != left_out])
    with pytest.raises((StoreError, psycopg.Error)):
        start_up(admin)
