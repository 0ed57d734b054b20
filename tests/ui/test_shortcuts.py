"""The keys of every page are those that the documentation lists."""

from collections.abc import Mapping
from typing import Final

import pytest

from tests.docs.pages import DOCS, table_under
from tests.ui.browsers import Visit
from tests.ui.screenshots import LAUNCH

PAGES: Final[Mapping[str, str]] = {
    "Launches": "",
    "Launch": f"launch?id={LAUNCH}",
    "Runs": "runs",
    "Errors": "errors",
    "Commits": "commits",
    "Refused": "refused",
    "Compare": "compare",
}
"""How the documentation calls each page, and its address."""

_READ_HELP: Final = """
[...document.querySelectorAll("dialog dl > div")].map((row) => {
  const keys = [...row.querySelectorAll("kbd")].map((key) => `\\`${key.textContent}\\``);
  return [keys.join(" "), row.querySelector("dd").textContent];
})
"""


def documented_keys(page: str) -> set[tuple[str, str]]:
    """Return the keys of a page with what they do, as the documentation has them."""
    table = table_under(DOCS / "how-to" / "look-at-runs-in-a-browser.md", "Keys")
    return {(keys, does) for keys, where, does in table if where == "all pages" or page in where.split(", ")}


@pytest.mark.parametrize("page", PAGES)
def test_documented_keys_are_those_of_the_help(visit: Visit, page: str) -> None:
    """With the same words, and no other."""
    visit.open(PAGES[page])
    visit.page.wait_for_selector("main h1")
    visit.page.keyboard.press("?")
    visit.page.wait_for_selector("dialog dl")
    shown = visit.page.evaluate(_READ_HELP)
    assert {(keys, does) for keys, does in shown} == documented_keys(page)
    assert len(shown) == len(documented_keys(page))
