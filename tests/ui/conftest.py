"""Fixtures: a browser, servers to look at, and tabs on them."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from entrypoints.settings import Settings
from tests.node import install
from tests.servers import Api, running_server
from tests.ui.browsers import CHROMIUM, HAS_PLAYWRIGHT, Visit, running_browser, visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LAUNCH = Path(__file__).parent.parent.parent / "examples" / "launch.json"

Visiting = Callable[..., AbstractContextManager[Visit]]

# Without the package nothing in these files can run.
collect_ignore_glob = [] if HAS_PLAYWRIGHT else ["test_*.py"]


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the packages in ``package-lock.json``, installed once for all processes of pytest."""
    return install(Path(__file__).parent, tmp_path_factory.getbasetemp().parent / "npm.lock")


@pytest.fixture(scope="session")
def axe(node_modules: Path) -> str:
    """Return the script of axe-core, for ``Visit.violations``."""
    return (node_modules / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Start one browser for all tests; each opens tabs with storages of their own."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with running_browser() as started:
        yield started


@pytest.fixture(scope="session")
def launch_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Start one server that holds the example launch, for all tests that only look."""
    runs: list[dict[str, Any]] = json.loads(LAUNCH.read_text(encoding="utf-8"))["runs"]
    with running_server(Settings(port=0, db=tmp_path_factory.mktemp("launch") / "runs.db")) as api:
        assert api.lenient(runs, Prefer="return=minimal").counts[1] > 300
        yield api


@pytest.fixture
def launch_server_runs(launch_server: Api) -> list[dict[str, Any]]:
    """Return the stored runs of the example launch, as the API has them."""
    runs: list[dict[str, Any]] = launch_server.find(limit=1000).body["runs"]
    return runs


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Api]:
    """Start a server without runs that keeps the runs it refuses, for tests with runs of their own."""
    with running_server(Settings(port=0, db=tmp_path / "runs.db", keep_refusals=500)) as api:
        yield api


@pytest.fixture
def visit_server(browser: "Browser") -> Visiting:
    """Return a function that opens a tab on the server at an address: ``visit_server(url, size=PHONE)``."""
    return partial(visiting, browser)


@pytest.fixture
def visit(visit_server: Visiting, launch_server: Api) -> Iterator[Visit]:
    """Open a wide tab in light colours on the server that holds the example launch."""
    with visit_server(launch_server.url, color_scheme="light") as opened:
        yield opened
