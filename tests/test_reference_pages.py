"""The reference of commands and settings is that of the code."""

import re

import pytest

from entrypoints import exits
from tests.reference import GENERATORS, PAGES, regenerate


@pytest.mark.parametrize("page", GENERATORS)
def test_page_is_that_of_the_code(page: str) -> None:
    """Otherwise ``python -m tests.reference`` writes what is missing."""
    text = (PAGES / page).read_text(encoding="utf-8")
    assert text == regenerate(page, text)


def test_every_exit_status_is_explained() -> None:
    """The page of commands has a row for each."""
    statuses = {0, *(value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int))}
    text = (PAGES / "commands.md").read_text(encoding="utf-8")
    assert {int(status) for status in re.findall(r"^\| ([0-9]+) \|", text, flags=re.MULTILINE)} == statuses
