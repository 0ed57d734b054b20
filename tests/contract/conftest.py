"""Every store. A test that takes ``store`` applies to all of them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from adapters.memory import MemoryStore
from core.ports.store import Store
from entrypoints.databases import open_database
from tests.postgres import WITH_POSTGRES, new_schema

DURABLE_KINDS = ("sqlite", "postgres") if WITH_POSTGRES else ("sqlite",)
KINDS = ("memory", *DURABLE_KINDS)


def _place(kind: str, request: pytest.FixtureRequest, folder: Path, stack: ExitStack) -> str:
    """Return a path or URL for a durable store."""
    if kind == "sqlite":
        return str(folder / "runs.db")
    return stack.enter_context(new_schema(request.getfixturevalue("postgres_server")))


def _opened(request: pytest.FixtureRequest, folder: Path) -> Iterator[Store]:
    with ExitStack() as stack:
        kind = request.param
        store = MemoryStore() if kind == "memory" else open_database(_place(kind, request, folder, stack))
        stack.callback(store.close)
        yield store


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Yield an empty store of each kind."""
    yield from _opened(request, tmp_path)


@pytest.fixture(params=KINDS, scope="module")
def empty_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield one store for all properties that commit nothing."""
    yield from _opened(request, tmp_path_factory.mktemp("store"))


@pytest.fixture(params=KINDS, scope="module")
def used_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield one store for all properties that commit."""
    yield from _opened(request, tmp_path_factory.mktemp("used"))


@pytest.fixture(params=DURABLE_KINDS)
def open_durable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Yield a function that opens a durable store, within limits if they are given; every call opens the same one."""
    with ExitStack() as stack:
        place = _place(request.param, request, tmp_path, stack)
        yield partial(open_database, place)
