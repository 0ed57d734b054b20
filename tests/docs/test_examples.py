"""The examples of the README and of the documentation, run as they stand."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, blocks_of, name_of
from tests.docs.session import Session

WITH_EXAMPLES = [page for page in PAGES if any(block.is_run for block in blocks_of(page))]

NOT_RUN = {
    "README.md": 2,
    "docs/explanation/scaling.md": 3,
    "docs/how-to/back-up-and-restore.md": 4,
    "docs/how-to/behind-a-proxy.md": 2,
    "docs/how-to/monitor.md": 1,
    "docs/how-to/move-to-postgresql.md": 3,
    "docs/how-to/run-in-a-container.md": 5,
    "docs/how-to/run-under-systemd.md": 3,
    "docs/how-to/send-traces.md": 4,
    "docs/reference/otlp.md": 1,
    "docs/tutorial.md": 1,
}
"""How many blocks of each page are not run; the reason is in the comment above each."""


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=name_of)
def test_examples_do_what_the_page_shows(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page, in order and in one directory, succeed and print what is shown below them."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    with Session(tmp_path, monkeypatch) as session:
        for block in blocks_of(page):
            if block.is_run:
                session.run(block)
    if session.left_out:
        pytest.skip(f"all was run but for {', '.join(session.left_out)}, which need duckdb-extension-sqlite-scanner")


def test_blocks_that_are_not_run_are_known() -> None:
    """Nothing is left out but what is listed above, each with a reason."""
    left_out = [block for page in PAGES for block in blocks_of(page) if block.reason is not None]
    assert all(block.reason for block in left_out)
    assert Counter(name_of(block.page) for block in left_out) == NOT_RUN
