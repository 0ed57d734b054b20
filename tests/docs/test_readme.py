"""The README fits on two screens and says nothing that the documentation does not."""

import re

from tests.docs.pages import DOCS, ROOT, table_under

README = ROOT / "README.md"
TWO_SCREENS = 100
"""Lines."""


def test_readme_is_short() -> None:
    """It is what one reads before the documentation, with the two commands that set everything up."""
    text = README.read_text(encoding="utf-8")
    assert text.count("\n") <= TWO_SCREENS
    assert all(f"\n{command} " in text for command in ("make demo", "make test"))


def test_statuses_are_those_of_the_reference() -> None:
    """The short table of responses has no status that the long one does not explain."""
    named, explained = (
        {status for row in table_under(page, heading) for status in re.findall(r"\b[2-5]\d\d\b", row[0])}
        for page, heading in (
            (README, "What each response means"),
            (DOCS / "reference" / "responses.md", "Statuses"),
        )
    )
    assert named
    assert named <= explained
