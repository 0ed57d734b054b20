"""The pages of the documentation: their fenced blocks, and how each is to be checked.

The conventions are described in CONTRIBUTING.md, under "Documentation".
"""

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import attrs

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SITE_PAGES = sorted(DOCS.rglob("*.md"))
PAGES = [ROOT / "README.md", *SITE_PAGES]
URL = "http://127.0.0.1:8765"
"""Where the server of every example listens."""

RUN_LANGUAGES = frozenset({"console", "sh", "python", "sql", "toml"})
"""Blocks in these languages are run. ``text`` after one of them is what it prints; all others are only shown."""

_BLOCK = re.compile(
    r"""
    (?:^[ ]*<!--[ ]*(?P<marker>[^\n]*?)[ ]*-->\n)?
    ^(?P<indent>[ ]*)(?P<fence>`{3,})(?P<language>[^\n`]*)\n
    (?P<text>.*?)
    ^(?P=indent)(?P=fence)[ ]*$
    (?:\n+^(?P=indent)```text\n(?P<printed>.*?)^(?P=indent)```[ ]*$)?
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)


@attrs.frozen
class Block:
    """A fenced block; ``printed`` is the ``text`` block after it, and ``marker`` the comment directly above it."""

    page: Path
    line: int
    language: str
    text: str
    printed: str | None
    marker: str

    @property
    def place(self) -> str:
        """Return where the block is, as shown in messages."""
        return f"{name_of(self.page)}:{self.line}"

    @property
    def reason(self) -> str | None:
        """Return why the block is not run, ``None`` if it is."""
        kind, _, reason = self.marker.partition(": ")
        return reason if kind == "not run" else None

    @property
    def is_run(self) -> bool:
        """Return whether a test runs the block."""
        return self.language in RUN_LANGUAGES and self.reason is None

    @property
    def is_for_duckdb(self) -> bool:
        """Return whether the block is SQL for DuckDB rather than SQLite."""
        return self.marker == "duckdb"


def name_of(page: Path) -> str:
    """Return the path of a page within the checkout."""
    return page.relative_to(ROOT).as_posix()


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    return list(find_blocks(page, page.read_text(encoding="utf-8")))


def find_blocks(page: Path, text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a text."""
    for found in _BLOCK.finditer(text):
        yield Block(
            page,
            text.count("\n", 0, found.start("fence")) + 1,
            found["language"].strip(),
            dedent(found["text"]),
            None if found["printed"] is None else dedent(found["printed"]),
            found["marker"] or "",
        )


def table_under(page: Path, heading: str) -> list[list[str]]:
    """Return the rows of the first table under a heading, without its head; each cell without blanks at its ends.

    Raises:
        ValueError: there is no such heading, or no table under it.
    """
    section = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    table = section and re.search(r"^\|[ :|-]+\|\n((?:\|.*\|\n?)+)", section[1], re.MULTILINE)
    if not table:
        raise ValueError(f"{name_of(page)} has no table under {heading!r}")
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))] for row in table[1].splitlines()]


def names_in(cell: str) -> list[str]:
    """Return what is written as code in a cell."""
    return re.findall(r"`([^`]+)`", cell)
