"""Fixtures: the packages of npm, and a model to talk to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node import install
from tests.otlp_clients.clients import HERE
from tests.otlp_clients.fake_model import running_model


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the packages in ``package-lock.json``, installed once for all processes of pytest."""
    return install(HERE, tmp_path_factory.getbasetemp().parent / "otlp-npm.lock")


@pytest.fixture(scope="session")
def model_url() -> Iterator[str]:
    """Run one model for all tests; it remembers nothing."""
    with running_model() as url:
        yield url
