"""What the commands have in common."""

import subprocess
import sys
from io import StringIO

import pytest

from entrypoints.cli import COMMANDS
from entrypoints.cli.terminal import Progress, format_duration, format_progress, format_rate, format_table
from tests.servers import DEADLINE_SECONDS, Finish

HEAVY = ("aiohttp", "apsw", "cattrs", "limits", "msgspec", "psycopg", "zstandard")


def imported_by(*arguments: str) -> set[str]:
    """Which of the heavy packages a call of the command line imports."""
    script = f"""
import sys
from entrypoints.cli import main
sys.argv = ["runsink", *{arguments!r}]
try:
    main()
finally:
    print("", *({HEAVY!r} & sys.modules.keys()), file=sys.stderr)
""".replace(repr(HEAVY), repr(set(HEAVY)))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=True
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_no_command(arguments: list[str]) -> None:
    """It costs what click costs."""
    assert imported_by(*arguments) == set()


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["upload", "--help"], {"zstandard"}),
        (["outbox", "flush", "--help"], set()),
        (["export", "--help"], set()),
        (["check", "--help"], set()),
        (["backup", "--help"], set()),
        (["restore", "--help"], set()),
    ],
)
def test_client_commands_import_no_server(arguments: list[str], needed: set[str]) -> None:
    """Neither a web framework nor a database."""
    assert imported_by(*arguments) <= needed


@pytest.mark.parametrize("name", COMMANDS)
def test_short_help_is_that_of_the_command(name: str) -> None:
    """The list of commands says what the command itself says."""
    command = COMMANDS[name].load()
    assert command.name == name
    assert command.help
    assert COMMANDS[name].short_help.endswith(".")


def test_every_command_is_listed(finish: Finish) -> None:
    """With its line; a command that does not exist is an error of usage."""
    listed = finish("--help").stdout
    for name, command in COMMANDS.items():
        assert f"  {name} " in listed
        assert command.short_help.split()[0] in listed
    assert finish("uplaod").returncode == 2


class _Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves nothing behind."""
    monkeypatch.setenv("TERM", "xterm")
    for stream in (_Terminal(), StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        with Progress("file\x1b", 100, "runs") as progress:
            progress.update(5, 50)
        is_terminal = isinstance(stream, _Terminal)
        assert ("50%" in stream.getvalue()) == is_terminal
        assert "file\\x1b" in stream.getvalue() or not is_terminal
        assert stream.getvalue().endswith("\r\x1b[K") or not is_terminal


def test_dumb_terminal_has_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot erase a line."""
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys, "stderr", _Terminal())
    with Progress("file", 100, "runs") as progress:
        progress.update(5, 50)
    assert isinstance(sys.stderr, _Terminal)
    assert sys.stderr.getvalue() == ""


def test_what_progress_looks_like() -> None:
    """How much, how fast, how long."""
    assert format_rate(12_000, "runs", 4) == "12,000 runs  3,000 runs/s"
    assert format_progress("x", None, 4) == "x"
    assert format_progress("x", 0, 4).endswith("]   0%")
    assert format_progress("x", 0.25, 4) == "x  [####------------]  25%  0:12 left"
    assert format_duration(3723) == "1:02:03"


def test_what_a_table_looks_like() -> None:
    """Numbers to the right."""
    assert format_table(["file", "runs"], [["a\n", 12_345]]) == "file    runs\na\\n   12,345"
