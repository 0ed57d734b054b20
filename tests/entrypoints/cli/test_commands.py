"""What the commands have in common."""

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from entrypoints.cli import COMMANDS
from entrypoints.cli.terminal import Progress, format_duration, format_progress, format_rate, format_table
from tests.launcher import Command
from tests.servers import DEADLINE_SECONDS, RUNSINK, Finish, own_environment

HEAVY = ("aiohttp", "apsw", "asyncio", "cattrs", "limits", "msgspec", "psycopg", "zstandard")
DECLARED = (*HEAVY, "adapters", "core", "http.client", "ssl", "tomllib")
"""What declaring a command must not need."""

SCRIPT = """
import sys
before = set(sys.modules)
from entrypoints.cli import main
sys.argv = ["runsink", *sys.argv[1:]]
try:
    main()
finally:
    print("", *(sys.modules.keys() - before), file=sys.stderr)
"""


def imported_by(*arguments: str, **environment: str) -> set[str]:
    """The modules that a call of the command line imports."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        env=own_environment(environment),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=True,
    )
    return set(done.stderr.split())


def imported_to_complete(*words: str) -> set[str]:
    """The modules that the completion of the last word imports."""
    line = " ".join(["runsink", *words])
    return imported_by(_RUNSINK_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(len(words)))


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_costs_what_click_costs(argument: str) -> None:
    """No command is imported, and no package but click."""
    assert not imported_by(argument) & {*DECLARED, "attr", "entrypoints.cli.options"}


def test_completion_of_a_command_imports_none() -> None:
    """It costs what click costs, too."""
    assert not imported_to_complete("se") & {*DECLARED, "attr", "entrypoints.cli.options"}


@pytest.mark.parametrize("name", COMMANDS)
def test_completion_of_an_option_imports_declarations(name: str) -> None:
    """Neither a server, nor a client, nor a store; only the settings are values of attrs."""
    forbidden = {*DECLARED} if name in ("serve", "settings") else {*DECLARED, "attr"}
    assert not imported_to_complete(name, "--") & forbidden
    assert not imported_by(name, "--help") & forbidden


def test_client_commands_import_no_server() -> None:
    """Neither a web framework nor a database."""
    for module, needed in (("upload", {"zstandard"}), ("outbox", set()), ("export", set()), ("healthcheck", set())):
        script = f"import sys, entrypoints.cli.{module}; print(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert {*HEAVY} & set(done.stdout.split()) <= needed


@pytest.mark.parametrize("name", COMMANDS)
def test_short_help_is_that_of_the_command(name: str) -> None:
    """The list of commands says what the command itself says."""
    command = COMMANDS[name].load()
    assert command.name == name
    assert command.help
    assert COMMANDS[name].short_help.endswith(".")


def test_every_command_is_listed(finish: Finish) -> None:
    """With its line."""
    listed = finish("--help").stdout
    for name, command in COMMANDS.items():
        assert f"  {name} " in listed
        assert command.short_help.split()[0] in listed


@pytest.mark.parametrize(
    ("words", "suggested"),
    [
        ("serv", "Did you mean serve?"),
        ("migrate_store", "Did you mean migrate-store?"),
        ("outbox flsh", "Did you mean flush?"),
        ("serve --prot 1", "--port"),
        ("upload --atomci x", "--atomic"),
        ("nothing-like-it", "No such command 'nothing-like-it'.\n"),
    ],
)
def test_a_mistyped_name_gets_a_suggestion(finish: Finish, words: str, suggested: str) -> None:
    """Of commands and options; the status is that of wrong usage."""
    ended = finish(*words.split())
    assert (ended.returncode, ended.stdout) == (2, "")
    assert suggested in ended.stderr


@pytest.mark.parametrize("arguments", ["settings", "settings --json", "settings --example", "completion zsh"])
def test_a_reader_that_leaves_is_no_error(tmp_path: Path, arguments: str) -> None:
    """As in ``runsink settings | true``."""
    reading, writing = os.pipe()
    os.close(reading)
    with Command(
        [RUNSINK, *arguments.split()], cwd=tmp_path, env=own_environment({}), stdout=writing, stderr=subprocess.PIPE
    ) as command:
        os.close(writing)
        _, complaints = command.communicate(timeout=DEADLINE_SECONDS)
    assert (command.returncode, complaints) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_data_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """A full disk is one line and the status 1."""
    with (
        Path("/dev/full").open("wb") as full,
        Command(
            [RUNSINK, "settings"], cwd=tmp_path, env=own_environment({}), stdout=full, stderr=subprocess.PIPE
        ) as command,
    ):
        _, complaints = command.communicate(timeout=DEADLINE_SECONDS)
    assert (command.returncode, complaints) == (
        1,
        "runsink: cannot write to standard output: No space left on device\n",
    )


def test_colour_is_never_used(tmp_path: Path) -> None:
    """On a terminal either, so NO_COLOR is honoured."""
    ours, theirs = os.openpty()
    with Command(
        [RUNSINK, "serv"], cwd=tmp_path, env=own_environment({"TERM": "xterm"}), stdout=theirs, stderr=theirs
    ) as command:
        os.close(theirs)
        assert command.wait(DEADLINE_SECONDS) == 2
    shown = os.read(ours, 4096)
    os.close(ours)
    assert b"Did you mean serve?" in shown
    assert b"\x1b[" not in shown


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
