"""``runsink migrate-store`` to PostgreSQL and back."""

import signal
import subprocess
import time
from pathlib import Path

from entrypoints.embedded import open_store
from tests.entrypoints.test_migrate_store import contents, fill
from tests.servers import DEADLINE_SECONDS, RUNSINK, Finish, MakeRun, own_environment


def test_there_and_back_again(finish: Finish, make_run: MakeRun, tmp_path: Path, postgres_url: str) -> None:
    """A store that goes to PostgreSQL and comes back in another file is the same, and no password is shown."""
    fill(tmp_path / "old.db", make_run)
    for source, target in (("old.db", postgres_url), (postgres_url, "new.db")):
        ended = finish("migrate-store", source, target)
        assert (ended.returncode, ended.stderr.split()) == (0, ["copying", "checking"])
        assert "not-shown" not in ended.stdout
    assert contents(postgres_url) == contents(tmp_path / "old.db") == contents(tmp_path / "new.db")


def test_a_migration_that_is_killed_goes_on(
    finish: Finish, make_run: MakeRun, tmp_path: Path, postgres_url: str
) -> None:
    """Killed in the middle and called again, it copies the rest."""
    number = 10_000
    fill(tmp_path / "old.db", make_run, number)
    open_store(postgres_url).close()
    command = [RUNSINK, "migrate-store", tmp_path / "old.db", postgres_url]
    with (
        open_store(postgres_url) as target,
        subprocess.Popen(
            command, env=own_environment({}), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as migration,
    ):
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not target.page().total:
            assert time.monotonic() < deadline
        migration.send_signal(signal.SIGKILL)
        migration.wait()
        assert 0 < (target.page().total or 0) < number
    assert finish("migrate-store", "old.db", postgres_url).returncode == 0
    assert contents(postgres_url) == contents(tmp_path / "old.db")
