"""Shared fixtures: runs to send, servers to send them to, and the figures of the fault tests."""

import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from uuid import uuid4

import apsw
import hypothesis
import pytest

from entrypoints.settings import Settings
from tests import postgres
from tests.figures import Figures, Scale
from tests.launcher import Command
from tests.logs import assert_shows_none, secrets_of
from tests.otlp_clients import clients as otlp_clients
from tests.servers import (
    DEADLINE_SECONDS,
    RUNSINK,
    Api,
    Finish,
    Serve,
    Served,
    Start,
    own_environment,
    running_server,
    serving_process,
)
from tests.ui import browsers

_FIGURES: pytest.StashKey[list[str]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--soak``, which lets the fault tests run for hours."""
    parser.addoption("--soak", action="store_true", help="run the tests of faults at their full figures, for hours")


def pytest_configure(config: pytest.Config) -> None:
    """Create the store of this run's figures, and let no example fail because the machine is busy."""
    config.stash[_FIGURES] = []
    hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
    hypothesis.settings.load_profile("busy")


def pytest_report_header() -> list[str]:
    """Report if some tests are not collected."""
    absent = {
        postgres.ABSENT: not postgres.WITH_POSTGRES,
        otlp_clients.ABSENT: not otlp_clients.INSTALLED,
        browsers.ABSENT: not browsers.HAS_PLAYWRIGHT,
    }
    return [line for line, is_absent in absent.items() if is_absent]


# Without the packages nothing in these files can run.
_NEEDING_POSTGRES = ["**/test_postgres_*.py", "**/test_*_postgres*.py", "adapters/postgres/*.py"]
collect_ignore_glob = [
    *([] if postgres.WITH_POSTGRES else _NEEDING_POSTGRES),
    *([] if otlp_clients.INSTALLED else ["otlp_clients/test_*.py"]),
]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Save what coverage measured: xdist kills a worker that takes over ten seconds to end, and loses it."""
    coverage = sys.modules.get("coverage")
    if coverage is not None and (measuring := coverage.Coverage.current()) is not None:
        # It warns of packages that this process did not import, as one that only distributes tests does not.
        with warnings.catch_warnings(action="ignore"):
            measuring.save()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show the figures after the tests."""
    if config.stash[_FIGURES]:
        terminalreporter.section("figures")
        for line in config.stash[_FIGURES]:
            terminalreporter.line(line)


@pytest.fixture
def scale(pytestconfig: pytest.Config) -> Scale:
    """Return a function that scales a test: ``scale(20, 1000)`` is 20, and 1000 with ``--soak``."""

    def choose(small: int, full: int) -> int:
        return full if pytestconfig.getoption("soak") else small

    return choose


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Return a function that reports figures, such as ``figures(cycles=20, lost=0)``, under the test's name."""

    def show(**values: object) -> None:
        told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())
        request.config.stash[_FIGURES].append(f"{request.node.name}: {told}")

    return show


@pytest.fixture
def make_run() -> Callable[..., dict[str, Any]]:
    """Return a function that makes a valid run as a client would send it, with the given fields on top."""

    def make(**fields: Any) -> dict[str, Any]:
        return {
            "event_id": str(uuid4()),
            "run_id": "launch-1",
            "agent_name": "translator",
            "job_type": "translate_page",
            "start_time": "2026-01-31T12:00:00Z",
            **fields,
        }

    return make


@pytest.fixture
def connections() -> Iterator[list[apsw.Connection]]:
    """Collect every connection opened during the test, in order; a store opens the writer first."""
    opened: list[apsw.Connection] = []

    def note(connection: apsw.Connection) -> None:
        if connection.filename:  # not one in memory
            opened.append(connection)

    apsw.connection_hooks.append(note)
    yield opened
    apsw.connection_hooks.remove(note)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Return the URL of one PostgreSQL for all tests that do not stop it."""
    if postgres.CITUS_URL == "":
        pytest.skip("RUNSINK_TEST_CITUS names no cluster")
    if postgres.GIVEN_URL is not None:
        yield postgres.GIVEN_URL
        return
    with postgres.running_engine() as engine:
        yield engine.url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """Return the URL of an empty database."""
    with postgres.new_schema(postgres_server) as url:
        yield url


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Return a function that starts a server in a thread, on a free port over ``runs.db``, with the given settings."""

    def start_with(**settings: Any) -> AbstractContextManager[Api]:
        return running_server(Settings(**{"port": 0, "db": tmp_path / "runs.db", **settings}))

    return start_with


@pytest.fixture
def server(start: Start) -> Iterator[Api]:
    """Start a server over a new database."""
    with start() as api:
        yield api


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Start one server for all tests that only use keys of their own."""
    with running_server(Settings(port=0, db=tmp_path_factory.mktemp("shared") / "runs.db")) as api:
        yield api


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Start ``runsink serve`` in ``tmp_path`` with these options and, by keyword, environment variables."""

    def serve_with(*options: str, **environment: str) -> AbstractContextManager[Served]:
        return serving_process(options, tmp_path, environment)

    return serve_with


@pytest.fixture
def finish(tmp_path: Path) -> Finish:
    """Run ``runsink`` in ``tmp_path`` until it ends by itself, bound by the file modes even as root."""

    def finish_with(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        with Command(
            [RUNSINK, *arguments],
            restricted=os.geteuid() == 0,
            cwd=tmp_path,
            env=own_environment(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as command:
            try:
                printed, complaints = command.communicate(timeout=DEADLINE_SECONDS)
            finally:
                command.kill()
        assert_shows_none(complaints, secrets_of((), environment, tmp_path))
        return subprocess.CompletedProcess(arguments, command.returncode, printed, complaints)

    return finish_with
