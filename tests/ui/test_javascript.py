"""The JavaScript of the page: its types, its style, and the unit tests of what computes."""

from pathlib import Path

import pytest

from tests.node import run_npm


@pytest.mark.usefixtures("node_modules")
@pytest.mark.parametrize("script", ["types", "lint", "unit"])
def test_no_check_complains(script: str) -> None:
    """The strict type checker and the linter find nothing, and every unit test passes."""
    run_npm(Path(__file__).parent, "run", "--silent", script)
