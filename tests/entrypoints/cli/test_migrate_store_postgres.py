"""``runsink migrate-store`` to PostgreSQL and back."""

import signal
import subprocess
import time
from pathlib import Path

import psycopg

from entrypoints.embedded import open_store
from tests.entrypoints.cli.test_migrate_store import contents, fill
from tests.servers import DEADLINE_SECONDS, RUNSINK, Finish, MakeRun, own_environment


def test_there_and_back_again(finish: Finish, make_run: MakeRun, tmp_path: Path, postgres_url: str) -> None:
    """A store that goes to PostgreSQL and comes back in another file is the same, and no password is shown."""
    fill(tmp_path / "old.db", make_run)
    for source, target in (("old.db", postgres_url), (postgres_url, "new.db")):
        ended = finish("migrate-store", source, target)
        assert (ended.returncode, ended.stderr.split()) == (0, [])
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


def test_what_a_client_sent_is_never_a_line_of_its_own(
    finish: Finish, make_run: MakeRun, tmp_path: Path, postgres_url: str
) -> None:
    """An error of the database that quotes a run is one line on stderr, and commands no terminal."""
    with open_store(tmp_path / "old.db") as store:
        store.create(make_run(event_id="a\nrunsink: all is well\x1b[2J"))
    open_store(postgres_url).close()
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'cannot keep %', NEW.event_id USING ERRCODE = 'XX001'; END $$"
        )
        admin.execute("CREATE TRIGGER fail BEFORE INSERT ON runs FOR EACH ROW EXECUTE FUNCTION fail()")
    ended = finish("migrate-store", "old.db", postgres_url)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith(
        r"runsink: the database failed: cannot keep a\nrunsink: all is well\x1b[2J"
    )
    assert "\x1b" not in ended.stderr
