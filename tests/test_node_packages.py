"""The packages of npm that tests use are locked, and no lock file names a registry."""

import json
from pathlib import Path

import pytest

from tests.node import MINIMUM

FOLDERS = [file.parent for file in sorted(Path(__file__).parent.glob("*/package.json"))]


def test_there_are_such_folders() -> None:
    """Those with checks of the page, and with exporters of spans."""
    assert [folder.name for folder in FOLDERS] == ["otlp_clients", "ui"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_lock_file_names_no_registry(folder: Path) -> None:
    """It installs from whichever registry npm is set up with; integrity hashes say what is right."""
    lock = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))
    packages = [package for name, package in lock["packages"].items() if name]
    assert packages
    assert all("integrity" in package and "resolved" not in package for package in packages)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_minimum_of_node_is_said_once(folder: Path) -> None:
    """With an older one the tests are skipped, and npm warns."""
    engines = json.loads((folder / "package.json").read_text(encoding="utf-8"))["engines"]
    assert engines == {"node": ">=" + ".".join(map(str, MINIMUM))}
