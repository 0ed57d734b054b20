"""How the API responds when the store fails: nothing of the request is stored, and it recovers by itself."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from adapters.sqlite import connection as sqlite_connection
from tests.servers import MakeRun, Start

ENDPOINTS = ["batch", "batch-transactional"]


def another_connection(directory: Path) -> apsw.Connection:
    """What another process would open. The same SQLite library: two in one process do not see each other's locks."""
    return apsw.Connection(str(directory / "runs.db"))


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_full_disk_is_507(connections: list[apsw.Connection], start: Start, make_run: MakeRun, endpoint: str) -> None:
    """Nothing of the batch is stored, reads continue, and the same batch is accepted once there is room."""
    batch = [make_run(input_summary="x" * 5000) for _ in range(20)]
    with start() as server:
        connections[0].pragma("max_page_count", int(connections[0].pragma("page_count")) + 2)
        answer = server.upload(endpoint, batch)
        assert (answer.status, answer.body) == (507, {"detail": "the disk is full"})
        assert server.find().body["total"] == 0
        connections[0].pragma("max_page_count", 1_000_000)
        assert server.upload(endpoint, batch).body["created"] == 20


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_database_that_is_locked_for_long_is_503(
    monkeypatch: pytest.MonkeyPatch, start: Start, make_run: MakeRun, tmp_path: Path, endpoint: str
) -> None:
    """The response says when to retry, reads continue, and the same batch is accepted once the lock is released."""
    monkeypatch.setattr(sqlite_connection, "BUSY_TIMEOUT_MS", 50)
    batch = [make_run()]
    with start() as server:
        with closing(another_connection(tmp_path)) as other:
            other.execute("BEGIN IMMEDIATE")
            answer = server.upload(endpoint, batch)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            assert answer.body == {"detail": "the database is locked by another process"}
            assert server.request("GET", "/ready").status == 503
            assert (server.request("GET", "/health").status, server.find().body["total"]) == (200, 0)
        assert server.upload(endpoint, batch).status == 201


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_damaged_database_is_500(start: Start, make_run: MakeRun, tmp_path: Path, endpoint: str) -> None:
    """A table dropped while the server runs is an error with a detail, and earlier work is rolled back."""
    with start() as server:
        with closing(another_connection(tmp_path)) as other:
            other.execute("DROP TABLE tallies")
        answer = server.upload(endpoint, [make_run()])
        assert (answer.status, list(answer.body)) == (500, ["detail"])
        with closing(another_connection(tmp_path)) as other:
            assert other.execute("SELECT count(*) FROM runs").fetchall() == [(0,)]
