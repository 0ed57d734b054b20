"""The examples of docs/reference/python.md, run as they stand."""

import re
import subprocess
import sys
from pathlib import Path

from tests.servers import Api

PAGE = (Path(__file__).parent.parent / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
PAGE_URL = "http://127.0.0.1:8765"


def test_examples_print_what_the_page_shows(server: Api, tmp_path: Path) -> None:
    """Every example prints the text below it."""
    examples = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert len(examples) == PAGE.count("```python") == 3
    for example, shown in examples:
        printed = subprocess.run(
            [sys.executable, "-c", example.replace(PAGE_URL, server.url)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (printed.stdout, printed.stderr) == (shown, "")
