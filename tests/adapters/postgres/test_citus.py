"""What a Citus cluster does with what is added: which workers get it, and how it is committed there."""

from collections.abc import Sequence

import attrs
import psycopg
import pytest
from psycopg_pool import ConnectionPool

from adapters.lifetime import Lifetime
from adapters.postgres.connection import configure
from adapters.postgres.run_repository import KnownHorizon
from adapters.postgres.unit_of_work import PostgresUnitOfWork
from core.model.run import Run
from tests.contract.samples import sample_run
from tests.postgres import CITUS_SHARDS, CITUS_URL

pytestmark = pytest.mark.skipif(not CITUS_URL, reason="RUNSINK_TEST_CITUS names no cluster")


@attrs.frozen
class Sent:
    """A statement that the coordinator sent to a worker."""

    worker: str
    sql: str

    @property
    def verb(self) -> str:
        """Its first word, without what may be attached to it."""
        return self.sql.split()[0]


def added(url: str, runs: Sequence[Run]) -> list[Sent]:
    """Store runs in one unit of work; return what the workers were sent meanwhile."""
    sent: list[Sent] = []

    def note(notice: psycopg.errors.Diagnostic) -> None:
        statement, place = notice.message_primary or "", notice.message_detail or ""
        # What the coordinator executes itself is reported without a server.
        if place.startswith("on server "):
            sent.append(Sent(place.split()[2], statement.removeprefix("issuing ")))

    def listen(connection: psycopg.Connection) -> None:
        configure(connection)
        connection.add_notice_handler(note)
        connection.execute("SET citus.log_remote_commands = on")

    with (
        ConnectionPool(url, kwargs={"autocommit": True}, min_size=1, configure=listen) as pool,
        PostgresUnitOfWork(pool, Lifetime(), 0, KnownHorizon()) as work,
    ):
        work.runs.add(runs)
        work.commit()
    return sent


@pytest.mark.parametrize(
    ("before", "ending"),
    [
        pytest.param("SELECT 1", ["PREPARE", "COMMIT"], id="as documented"),
        pytest.param("SELECT undistribute_table('versions')", ["COMMIT"], id="without a table in metadata"),
    ],
)
def test_a_lone_run_reaches_one_shard(postgres_url: str, before: str, ending: list[str]) -> None:
    """One statement stores it, on one worker. It commits in two phases only because of the table of versions."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(before.encode())
    shards = set()
    for number in range(16):
        sent = added(postgres_url, [sample_run(f"lone-{number}")])
        assert [statement.verb for statement in sent] == ["BEGIN", "INSERT", *ending]
        assert len({statement.worker for statement in sent}) == 1
        shards.add(sent[1].sql.split()[2])
    assert len(shards) == CITUS_SHARDS
