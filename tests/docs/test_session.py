"""The check of the examples fails where an example is wrong."""

from pathlib import Path

import pytest

from tests.docs.pages import ROOT, find_blocks
from tests.docs.session import Session, console_steps

PAGE = ROOT / "docs" / "page.md"


def fenced(language: str, text: str, printed: str | None = None, marker: str | None = None) -> str:
    """Return a block as it stands on a page."""
    comment = f"<!-- {marker} -->\n" if marker else ""
    output = "" if printed is None else f"\n```text\n{printed}\n```\n"
    return f"A sentence.\n\n{comment}```{language}\n{text}\n```\n{output}"


def test_blocks_are_found_with_their_marker_and_output() -> None:
    """In order, also inside a list; a longer fence may hold a shorter one."""
    item = "- One:\n\n  ```sh\n  true\n    false\n  ```\n"
    nested = "````markdown\n```sh\nexit 1\n```\n````\n"
    page = fenced("sh", "true", marker="not run: a reason") + fenced("python", "print(1)", "1") + item + nested
    first, second, third, fourth = find_blocks(PAGE, page)
    assert (first.reason, first.is_run, first.line, first.printed) == ("a reason", False, 4, None)
    assert (second.language, second.is_run, second.printed) == ("python", True, "1\n")
    assert third.text == "true\n  false\n"
    assert (fourth.language, fourth.is_run) == ("markdown", False)


def test_console_blocks_are_commands_and_what_they_print() -> None:
    """A command may go on after ``> ``."""
    assert list(console_steps("$ one \\\n> two\nout\n$ three\n")) == [("one \\\ntwo", "out"), ("three", "")]


@pytest.mark.parametrize(
    "page",
    [
        fenced("console", "$ echo one\ntwo"),
        fenced("console", "$ false"),
        fenced("sh", "false\ntrue"),
        fenced("sh", "echo one", "two"),
        fenced("python", "print(1)", "2"),
        fenced("python", "print(1)"),
        fenced("python", "raise SystemExit(1)"),
        fenced("toml", "[runsink]\nprot = 1"),
        fenced("sql", "SELECT nothing FROM runs"),
        fenced("sql", "SELECT count(*) FROM runs", "1"),
        fenced("sql", "DELETE FROM runs"),
    ],
)
def test_wrong_examples_are_found(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another output, an exit status that is not 0, an unknown setting, a write from outside."""
    (make,) = find_blocks(PAGE, fenced("python", "from runsink import open_store\nopen_store('runsink.db').close()"))
    with Session(tmp_path, monkeypatch) as session:
        if "```sql" in page:
            session.run(make)
        (block,) = find_blocks(PAGE, page)
        with pytest.raises((Exception, pytest.fail.Exception)):
            session.run(block)
