"""Every store the product has. A test that takes ``store`` states a law for all of them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.memory import MemoryStore
from adapters.sqlite import SqliteStore
from core.ports.store import Store

KINDS = ("memory", "sqlite")


def _open(kind: str, folder: Path) -> Store:
    return MemoryStore() if kind == "memory" else SqliteStore(folder / "runs.db")


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each kind."""
    opened = _open(request.param, tmp_path)
    yield opened
    opened.close()


@pytest.fixture(params=KINDS, scope="module")
def empty_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all examples of all properties, which commit nothing to it."""
    opened = _open(request.param, tmp_path_factory.mktemp("store"))
    yield opened
    opened.close()


@pytest.fixture(params=KINDS, scope="module")
def used_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all examples of all properties, which commit what they like."""
    opened = _open(request.param, tmp_path_factory.mktemp("used"))
    yield opened
    opened.close()


@pytest.fixture
def open_durable(tmp_path: Path) -> Callable[[], SqliteStore]:
    """Open the one store that outlives its process; every call opens the same file."""
    return lambda: SqliteStore(tmp_path / "durable.db")
