"""Roles of PostgreSQL that may do less than a server needs: each is told in one line, and where it is asked for."""

from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import uuid4

import attrs
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from entrypoints.databases import open_database
from tests.jobs import wait_until
from tests.servers import Finish, MakeRun, Serve, Start

NEEDED = "it needs SELECT, INSERT and UPDATE on the tables runs, tallies and versions, the same and DELETE on jobs and"

READING = ("SELECT ON ALL TABLES IN SCHEMA {schema}",)
WRITING = (
    *READING,
    "INSERT, UPDATE ON runs, tallies, versions",
    "UPDATE ON retention",
    "INSERT, UPDATE, DELETE ON jobs, job_findings",
    "USAGE ON SEQUENCE arrivals",
)


@pytest.fixture
def admin(postgres_url: str) -> Iterator[psycopg.Connection]:
    """A connection of the operator."""
    with psycopg.connect(postgres_url, autocommit=True) as opened:
        yield opened


@attrs.frozen
class Role:
    """A role of the database, and what it is allowed in the schema of the test."""

    name: str
    url: str
    admin: psycopg.Connection

    def grant(self, *privileges: str) -> None:
        """Allow these things, each written as in GRANT."""
        for privilege in privileges:
            self.say("GRANT {} TO {}", privilege)

    def revoke(self, privilege: str) -> None:
        """Forbid it again."""
        self.say("REVOKE {} FROM {}", privilege)

    def say(self, statement: str, privilege: str) -> None:
        """Have the operator say it of this role."""
        schema = self.admin.execute("SELECT current_schema()").fetchone()
        assert schema is not None
        named = SQL(privilege).format(schema=Identifier(schema[0]))  # type: ignore[arg-type]
        self.admin.execute(SQL(statement).format(named, Identifier(self.name)))  # type: ignore[arg-type]


@pytest.fixture
def role(postgres_url: str, admin: psycopg.Connection) -> Iterator[Role]:
    """A role that may look into the schema and no more."""
    parts = urlsplit(postgres_url)
    name = f"runsink_test_{uuid4().hex}"
    made = Role(name, parts._replace(netloc=f"{name}:not-shown@{parts.netloc.rpartition('@')[2]}").geturl(), admin)
    admin.execute(SQL("CREATE ROLE {} LOGIN PASSWORD 'not-shown'").format(Identifier(name)))
    made.grant("USAGE ON SCHEMA {schema}")
    yield made
    admin.execute(SQL("DROP OWNED BY {}").format(Identifier(name)))
    admin.execute(SQL("DROP ROLE {}").format(Identifier(name)))


@pytest.fixture
def tables(postgres_url: str) -> None:
    """What the first server makes, which may create tables."""
    open_database(postgres_url).close()


@pytest.mark.usefixtures("tables")
def test_a_role_that_may_not_write_is_not_ready(start: Start, make_run: MakeRun, role: Role) -> None:
    """Reading works, a write and ``/ready`` say what to grant, and once that is done both work."""
    role.grant(*READING)
    with start(db=role.url) as server:
        ready, write = server.request("GET", "/ready"), server.lenient([make_run()])
        assert (ready.status, write.status, server.find().status) == (503, 500, 200)
        assert all(NEEDED in answer.body["detail"] for answer in (ready, write))
        role.grant(*WRITING)
        assert server.request("GET", "/ready").status == 200
        assert server.lenient([make_run()]).status == 201


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        ("UPDATE ON runs", "UPDATE on runs"),
        ("INSERT ON tallies", "INSERT on tallies"),
        ("UPDATE ON versions", "UPDATE on versions"),
        ("UPDATE ON retention", "UPDATE on retention"),
        ("DELETE ON jobs", "DELETE on jobs"),
        ("USAGE ON SEQUENCE arrivals", "USAGE on arrivals"),
    ],
)
def test_each_privilege_that_is_taken_away_is_named(start: Start, role: Role, lacking: str, told: str) -> None:
    """``/ready`` names just the one that is lacking."""
    role.grant(*WRITING)
    with start(db=role.url) as server:
        assert server.request("GET", "/ready").status == 200
        role.revoke(lacking)
        assert f"({told})" in server.request("GET", "/ready").body["detail"]


@pytest.mark.usefixtures("tables")
def test_a_table_that_is_gone_is_not_ready(start: Start, admin: psycopg.Connection, postgres_url: str) -> None:
    """``/ready`` names what cannot be found."""
    with start(db=postgres_url) as server:
        admin.execute("DROP TABLE tallies")
        answer = server.request("GET", "/ready")
        assert (answer.status, "tallies cannot be found" in answer.body["detail"]) == (503, True)


@pytest.mark.usefixtures("tables")
def test_a_server_that_can_only_read_says_so_at_its_start(serve: Serve, role: Role) -> None:
    """It comes up, since reading works, and has told the operator in one line what is lacking."""
    role.grant(*READING)
    with serve("--port", "0", RUNSINK_DB=role.url) as served:
        status, complaints = served.end()
        assert status == 0
        assert complaints.count("\n") == 1
        assert "is read-only: the role may not write" in complaints
        assert NEEDED in complaints
        assert "not-shown" not in complaints


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("granted", [(), ("SELECT, INSERT, UPDATE ON runs, tallies",)])
def test_a_role_that_may_not_see_the_version_is_one_line(finish: Finish, role: Role, granted: tuple[str, ...]) -> None:
    """Tables that the role may not use are not taken for missing ones, nor for another application's."""
    role.grant(*granted)
    ended = finish("serve", "--port", "0", RUNSINK_DB=role.url)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "permission denied for table runsink_schema" in ended.stderr
    assert NEEDED in ended.stderr


def test_a_role_that_may_not_create_the_tables_is_one_line(finish: Finish, role: Role) -> None:
    """Where there are none yet, the first start takes more than later ones."""
    ended = finish("serve", "--port", "0", RUNSINK_DB=role.url)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "permission denied for schema" in ended.stderr
    assert "a role that may create tables" in ended.stderr


@pytest.mark.usefixtures("tables")
def test_a_role_that_may_not_keep_refused_runs_takes_runs(serve: Serve, make_run: MakeRun, role: Role) -> None:
    """The log says what to grant, and no upload notices."""
    role.grant(*WRITING)
    with serve("--port", "0", "--keep-refusals", "10", RUNSINK_DB=role.url) as served:
        assert served.api.lenient([make_run(), make_run(status="lost")]).counts == (2, 1, 0, 1)
        assert served.api.request("GET", "/ready").status == 200
        assert "SELECT and UPDATE on refusal_marks" in served.next_complaint()
        role.grant("SELECT, INSERT, DELETE ON refusals", "SELECT, UPDATE ON refusal_marks")
        assert served.api.lenient([make_run(event_id="kept", status="lost")]).status == 422
        wait_until(lambda: served.api.request("GET", "/api/v1/refusals").body["refusals"])
        assert served.end() == (0, "")
