"""Fixtures for stores on disk."""

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a path for a new store."""
    return tmp_path / "runs.db"
