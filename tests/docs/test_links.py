"""Every link between the files of the checkout leads somewhere.

The build of the site checks the links between its own pages as well; this test also has the README and its like.
"""

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, name_of

WITH_LINKS = [*PAGES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]


def without_code(text: str) -> str:
    """Return a page without what is in fenced blocks and code spans."""
    text = re.sub(r"^ *(`{3,}).*?^ *\1 *$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page: its headings in lower case, with hyphens for blanks."""
    text = re.sub(r"^ *(`{3,}).*?^ *\1 *$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path, text: str) -> list[str]:
    """Return the links of a text on that page that lead nowhere within the checkout."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", WITH_LINKS, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """To a file that is there, and to one of its headings if the link names one."""
    assert broken_links(page, page.read_text(encoding="utf-8")) == []


def test_broken_links_are_found() -> None:
    """A missing file, a missing heading; not what is code, and not what is elsewhere."""
    text = "[a](docs/none.md) [b](docs/index.md#none) [c](#none) `[d](none.md)` [e](https://none.example) [f](LICENSE)"
    assert broken_links(ROOT / "README.md", text) == ["docs/none.md", "docs/index.md#none", "#none"]
