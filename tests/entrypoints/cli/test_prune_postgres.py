"""``runsink prune`` on PostgreSQL."""

import json
from pathlib import Path

from entrypoints.embedded import open_store
from tests.entrypoints.cli.test_prune import HORIZON, fill
from tests.servers import Finish, MakeRun


def test_prune_on_postgres(finish: Finish, postgres_url: str, make_run: MakeRun) -> None:
    """It works alike; the database takes care of the space itself."""
    fill(postgres_url, make_run)
    done = finish("prune", "--before", HORIZON, "--yes", "--json", "--db", postgres_url)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert (told["deleted"], told["bytes_returned"], told["bytes_free"]) == (1200, None, None)
    with open_store(postgres_url) as store:
        metadata = store.metadata()
        assert (store.page().total, metadata.agent_names.names) == (1200, ("translator",))
    assert finish("prune", "--before", "2026-02-01", "--yes", "--db", postgres_url).returncode == 0
    with open_store(postgres_url) as store:
        assert (store.page().total, store.metadata().agent_names.names) == (0, ())


def test_check_reports_the_same_facts_of_every_store(
    finish: Finish, postgres_url: str, make_run: MakeRun, tmp_path: Path
) -> None:
    """A program need not know where the runs are; what a database on a server does not have is null."""
    reports = []
    for database in (postgres_url, str(tmp_path / "runs.db")):
        fill(database, make_run)
        assert finish("prune", "--before", HORIZON, "--yes", "--db", database).returncode == 0
        reports.append(json.loads(finish("check", "--json", "--db", database).stdout))
    remote, local = reports
    assert list(remote) == list(local)
    differing = {name for name in local if remote[name] != local[name]}
    assert differing == {"database", "database_bytes", "wal_bytes", "free_pages"}
