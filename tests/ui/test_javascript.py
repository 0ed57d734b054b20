"""The JavaScript of the page: its types, its style, and the unit tests of what computes."""

import json

import pytest

from tests.ui.node import HERE, MINIMUM, run_npm


@pytest.mark.usefixtures("node_modules")
@pytest.mark.parametrize("script", ["types", "lint", "unit"])
def test_no_check_complains(script: str) -> None:
    """The strict type checker and the linter find nothing, and every unit test passes."""
    run_npm("run", "--silent", script)


def test_lock_file_names_no_registry() -> None:
    """It installs from whichever registry npm is set up with; integrity hashes say what is right."""
    text = (HERE / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in text
    assert text.count('"integrity"') > 50


def test_minimum_of_node_is_said_once() -> None:
    """With an older one the tests are skipped, and npm warns."""
    engines = json.loads((HERE / "package.json").read_text(encoding="utf-8"))["engines"]
    assert engines == {"node": ">=" + ".".join(map(str, MINIMUM))}
