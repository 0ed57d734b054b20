"""The script that takes the pictures of the documentation."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.servers import Api
from tests.ui.screenshots import MOST_BYTES, PICTURES, filled_server, take

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Start the server that the pictures show."""
    with filled_server(tmp_path_factory.mktemp("pictures")) as api:
        yield api


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_can_be_taken(browser: "Browser", filled: Api, tmp_path: Path, name: str) -> None:
    """It has the size that it should have, and nothing goes wrong in the page."""
    take(browser, filled.url, PICTURES[name], tmp_path / name)
    content = (tmp_path / name).read_bytes()
    assert tuple(int.from_bytes(content[at : at + 4]) for at in (16, 20)) == PICTURES[name].size
    assert len(content) <= MOST_BYTES
