"""``runsink backup`` and ``runsink restore`` as commands."""

import json
import shutil
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from adapters.spool import Spool
from core.model.job import Job, JobState
from core.model.stream import StreamFormat
from entrypoints.application import build_application
from entrypoints.settings import Settings
from tests.entrypoints.cli.test_migrate_store import contents, fill
from tests.jobs import job_of, lines, queue, sent_run
from tests.servers import Finish, MakeRun, Serve

RUNS = 20


def test_there_and_back_again(finish: Finish, make_run: MakeRun, tmp_path: Path) -> None:
    """A restored backup holds the same runs, and both commands say what they made."""
    fill(tmp_path / "runs.db", make_run, RUNS)
    ended = finish("backup", "copy.db", "--db", "runs.db")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[0].split() == ["backup", "copy.db"]
    before = contents(tmp_path / "runs.db")
    (tmp_path / "runs.db").unlink()
    ended = finish("restore", "copy.db", "--db", "runs.db", "--json")
    found = json.loads(ended.stdout)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (found["database"], found["runs"], found["failed_jobs"], found["unknown_bodies"]) == ("runs.db", RUNS, 0, 0)
    assert contents(tmp_path / "runs.db") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "runs.db"]


def test_a_server_starts_on_a_restored_backup_of_a_running_one(finish: Finish, serve: Serve, make_run: MakeRun) -> None:
    """A backup has what was acknowledged before it, and the restored store goes on exactly once."""
    first, later = make_run(), make_run()
    with serve("--port", "0", "--db", "runs.db") as served:
        assert served.api.lenient([first]).status == 201
        found = json.loads(finish("backup", "copy.db", "--db", "runs.db", "--json").stdout)
        assert (found["backup"], found["runs"]) == ("copy.db", 1)
        assert served.api.lenient([later]).status == 201
    assert finish("restore", "copy.db", "--db", "again.db").returncode == 0
    with serve("--port", "0", "--db", "again.db") as served:
        assert served.api.lenient([first, later]).counts == (2, 1, 1, 0)


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_what_is_there_is_left_alone(finish: Finish, make_run: MakeRun, tmp_path: Path, command: str) -> None:
    """An existing target is wrong usage, for either command, and so is a missing source."""
    fill(tmp_path / "a.db", make_run, RUNS)
    (tmp_path / "b.db").write_bytes(b"")
    arguments = {"backup": ("b.db", "--db", "a.db"), "restore": ("a.db", "--db", "b.db")}[command]
    ended = finish(command, *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "b.db exists already and was left alone" in ended.stderr
    arguments = {"backup": ("c.db", "--db", "missing.db"), "restore": ("missing.db", "--db", "c.db")}[command]
    ended = finish(command, *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "missing.db: there is no such file" in ended.stderr
    assert not (tmp_path / "c.db").exists()


def test_a_database_that_was_moved_without_its_wal_is_not_replaced(
    finish: Finish, make_run: MakeRun, tmp_path: Path
) -> None:
    """The WAL may hold acknowledged runs, so it has to be moved as well."""
    fill(tmp_path / "copy.db", make_run, RUNS)
    (tmp_path / "runs.db-wal").write_bytes(b"acknowledged")
    ended = finish("restore", "copy.db", "--db", "runs.db")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "runs.db-wal is, and a server may still use it" in ended.stderr


def test_a_damaged_database_gives_no_backup(finish: Finish, make_run: MakeRun, tmp_path: Path) -> None:
    """The status is 1, and nothing appears."""
    fill(tmp_path / "runs.db", make_run, RUNS)
    with closing(apsw.Connection(str(tmp_path / "runs.db"))) as connection:
        connection.execute("DELETE FROM tallies")
    for arguments in (("backup", "copy.db", "--db", "runs.db"), ("restore", "runs.db", "--db", "copy.db")):
        ended = finish(*arguments)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert "runs.db is damaged: agent_name 'translator' has" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["runs.db"]


def test_a_url_is_told_what_to_use(finish: Finish) -> None:
    """Both commands are about files, and say which others are about PostgreSQL."""
    url = "postgresql://user:not-shown@host/name"
    for command, said in (("backup", "use pg_dump"), ("restore", "runsink migrate-store FILE URL")):
        ended = finish(command, "copy.db", "--db", url)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert said in ended.stderr
        assert "not-shown" not in ended.stderr


class Jobs:
    """A store with an unfinished job, beside the spool that has its body, and its backup."""

    def __init__(self, tmp_path: Path, finish: Finish) -> None:
        self._folder = tmp_path
        self.db = tmp_path / "runs.db"
        application = build_application(Settings(db=self.db))
        self.job_id = queue(application, Spool(self._spool, 2**20), lines([sent_run("a")]), StreamFormat.NDJSON)
        application.close()
        assert finish("backup", "copy.db", "--db", "runs.db").returncode == 0
        self.db.unlink()

    @property
    def _spool(self) -> Path:
        return self._folder / "runs.db-spool"

    def lose_spool(self) -> None:
        """Remove the spool, as if the backup were restored on another machine."""
        shutil.rmtree(self._spool)

    def queue_later(self, finish: Finish) -> None:
        """Queue another job after the backup, in a store that is lost."""
        assert finish("restore", "copy.db", "--db", "runs.db").returncode == 0
        application = build_application(Settings(db=self.db))
        queue(application, Spool(self._spool, 2**20), lines([sent_run("b")]), StreamFormat.NDJSON)
        application.close()
        self.db.unlink()

    def job(self) -> Job:
        """The job in the restored store."""
        application = build_application(Settings(db=self.db))
        try:
            return job_of(application, self.job_id)
        finally:
            application.close()


@pytest.fixture
def jobs(tmp_path: Path, finish: Finish) -> Jobs:
    """Return the store with the job."""
    return Jobs(tmp_path, finish)


def test_a_job_goes_on_where_its_body_is(finish: Finish, serve: Serve, jobs: Jobs) -> None:
    """A store that is restored beside its spool runs what was not finished."""
    ended = finish("restore", "copy.db", "--db", "runs.db")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert jobs.job().state is JobState.QUEUED
    with serve("--port", "0", "--db", "runs.db") as served:
        while served.api.request("GET", f"/api/v1/jobs/{jobs.job_id}").body["state"] != "succeeded":
            pass


def test_a_job_without_its_body_has_failed(finish: Finish, jobs: Jobs) -> None:
    """Elsewhere, nobody would ever run it; so it fails, and says to send it again."""
    jobs.lose_spool()
    ended = finish("restore", "copy.db", "--db", "runs.db")
    assert ended.returncode == 0
    assert "1 unfinished jobs were marked as failed" in ended.stderr
    job = jobs.job()
    assert (job.state, job.finished_at is not None) == (JobState.FAILED, True)
    assert "send it again" in (job.detail or "")


def test_bodies_that_the_backup_does_not_know_are_said(finish: Finish, jobs: Jobs) -> None:
    """A server removes bodies without a job, so whoever restores is told before it starts."""
    jobs.queue_later(finish)
    ended = finish("restore", "copy.db", "--db", "runs.db", "--json")
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["unknown_bodies"] == 1
    assert "copy them elsewhere first" in ended.stderr
