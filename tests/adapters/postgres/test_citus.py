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

    def listen(connection: psycopg.Connection) -> None:
        configure(connection)
        connection.add_notice_handler(lambda notice: sent.append(sent_in(notice)))
        connection.execute("SET citus.log_remote_commands = on")

    with (
        ConnectionPool(url, kwargs={"autocommit": True}, min_size=1, configure=listen) as pool,
        PostgresUnitOfWork(pool, Lifetime(), 0, KnownHorizon()) as work,
    ):
        work.runs.add(runs)
        work.commit()
    return sent


def sent_in(notice: psycopg.errors.Diagnostic) -> Sent:
    """Return the statement that a notice is about."""
    message, detail = notice.message_primary or "", notice.message_detail or ""
    return Sent(detail.removeprefix("on server ").split()[0], message.removeprefix("issuing "))


def test_a_lone_run_reaches_one_shard(postgres_url: str) -> None:
    """One statement stores it, on one worker, which commits without preparing first."""
    shards = set()
    for number in range(16):
        sent = added(postgres_url, [sample_run(f"lone-{number}")])
        assert [statement.verb for statement in sent] == ["BEGIN", "INSERT", "COMMIT"]
        assert len({statement.worker for statement in sent}) == 1
        shards.add(sent[1].sql.split()[2])
    assert len(shards) == CITUS_SHARDS
