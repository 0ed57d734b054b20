"""The pictures in README and documentation are those that ``python -m tests.ui.screenshots`` takes."""

import re
from pathlib import Path

from tests.docs.pages import PAGES
from tests.ui.screenshots import FOLDER, MOST_BYTES, PICTURES

PNG = b"\x89PNG\r\n\x1a\n"


def shown_pictures() -> set[Path]:
    """Return the files that the pages show as pictures."""
    return {
        (page.parent / path).resolve()
        for page in PAGES
        for path in re.findall(r"!\[[^\]]+\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    }


def test_every_picture_is_taken_by_the_script() -> None:
    """Whatever is shown can be taken again; whatever is taken is there, and is shown."""
    assert shown_pictures() == {FOLDER / name for name in PICTURES} == set(FOLDER.iterdir())


def test_pictures_are_small() -> None:
    """They are PNG files that a clone of the repository hardly notices."""
    for name in PICTURES:
        content = (FOLDER / name).read_bytes()
        assert content.startswith(PNG)
        assert len(content) <= MOST_BYTES
