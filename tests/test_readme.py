"""The README's examples, run as they stand."""

import doctest
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
README_URL = "http://127.0.0.1:8765"


def code_blocks(language: str) -> list[str]:
    """Return the fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def console_steps() -> Iterator[tuple[str, str]]:
    """Yield each command of the console blocks, and the output that the README shows for it."""
    for step in re.split(r"^\$ ", "".join(code_blocks("console")), flags=re.MULTILINE)[1:]:
        command, *rest = step.splitlines()
        more = [line[2:] for line in rest if line.startswith("> ")]
        shown = [line for line in rest if not line.startswith("> ")]
        yield "\n".join([command, *more]), "\n".join(shown)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Start a server as the README says, on a free port."""
    runsink = Path(sys.executable).parent / "runsink"
    command = [runsink, "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        first_line = server.stdout.readline()
        match = re.search(r"http://\S+(?=,)", first_line)
        assert match, first_line
        yield match.group()
        server.terminate()
        assert server.wait(timeout=30) == 0


def test_console_examples_print_what_the_readme_shows(url: str) -> None:
    """Every curl command of the README, in order against one server, prints the response shown below it."""
    steps = list(console_steps())
    assert len(steps) == 8
    for command, shown in steps:
        printed = subprocess.run(
            ["bash", "-c", command.replace(README_URL, url)], capture_output=True, text=True, check=True, timeout=30
        ).stdout
        assert doctest.OutputChecker().check_output(shown + "\n", printed + "\n", doctest.ELLIPSIS), printed


def test_python_example_prints_what_the_readme_shows(tmp_path: Path) -> None:
    """The in-process example prints the text below it."""
    (example,) = code_blocks("python")
    (shown,) = code_blocks("text")
    printed = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30
    ).stdout
    assert printed == shown


def test_settings_table_has_every_option_with_its_default() -> None:
    """The README's settings table and ``runsink serve --help`` name the same options, defaults and ranges."""
    runsink = Path(sys.executable).parent / "runsink"
    printed = subprocess.run(
        [runsink, "serve", "--help"], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    offered = dict(re.findall(r"^  (--[a-z-]+) (.*?)(?=^  --)", printed, flags=re.DOTALL | re.MULTILINE))
    row = r"^\| `(--[a-z-]+)` \| `RUNSINK_[A-Z_]+` \| (?:`([^`]+)`|[^`|]+) \| (.*) \|$"
    rows = re.findall(row, README, flags=re.MULTILINE)
    documented = {option: default for option, default, _ in rows}
    assert documented.keys() == offered.keys()
    for option, default in documented.items():
        shown = rf"default:\s+\S*{re.escape(default.removeprefix('./'))}\)?\]" if default else "^(?!.*default:)"
        assert re.search(shown, offered[option], flags=re.DOTALL), option
    for option, _, text in rows:
        assert re.findall(r"from \d+ to \d+", text) == re.findall(r"from \d+ to \d+", " ".join(offered[option].split()))
