"""What a reader of one page does: run its examples from top to bottom, in one directory, beside one server."""

import doctest
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import apsw
import pytest

from entrypoints.configuration import load_settings
from tests.docs.pages import URL, Block
from tests.servers import own_environment, serving_process

DEADLINE_SECONDS = 60
"""Only a guard against examples that hang."""

DUCKDB_EXTENSION = "duckdb_extension_sqlite_scanner"
WITH_DUCKDB = find_spec(DUCKDB_EXTENSION) is not None
STORE = "runsink.db"

_SERVE = re.compile(r"^((?:[A-Z_]+=\S+ )*)runsink serve\b(.*)$", re.MULTILINE)
_PORT = re.compile(r"--port[ =]\S+")


def console_steps(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block, and the output shown for it."""
    for step in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *rest = step.splitlines()
        more = [line[2:] for line in rest if line.startswith("> ")]
        shown = [line for line in rest if not line.startswith("> ")]
        yield "\n".join([command, *more]), "\n".join(shown)


class Session:
    """Runs the examples of one page. Use it as a context manager."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left_out: list[str] = []
        """Where the blocks are that could not be run here."""
        self._directory = directory
        self._monkeypatch = monkeypatch
        self._url: str | None = None
        self._server = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.close()

    def run(self, block: Block) -> None:
        """Run a block, and fail unless it does what the page shows."""
        if block.language == "console":
            for command, shown in console_steps(block.text):
                self._check(block, shown, self._run_command(command))
        elif block.language == "sh":
            self._check(block, block.printed, self._run_command(block.text))
        elif block.language == "python":
            self._check(block, block.printed or "", self._run_python(block.text))
        elif block.language == "sql":
            self._run_sql(block)
        elif block.language == "toml":
            self._load_settings(block.text)

    def _check(self, block: Block, shown: str | None, printed: str) -> None:
        if shown is None:
            return
        # Many commands print no last line end, and a block cannot show whether they do.
        wanted, got = shown.rstrip("\n") + "\n", printed.rstrip("\n") + "\n"
        if not doctest.OutputChecker().check_output(wanted, got, doctest.ELLIPSIS):
            pytest.fail(f"{block.place} shows\n{shown}\nbut this was printed:\n{printed}", pytrace=False)

    def _run_command(self, text: str) -> str:
        """Run a command or script, with each ``runsink serve`` on a free port, and return what it prints."""
        first_line = ""
        if serve := _SERVE.search(text):
            before = text[: serve.start()]
            if before.strip():
                self._run_shell(before)
            first_line = self._serve(shlex.split(serve[1]), shlex.split(_PORT.sub("", serve[2]), comments=True))
            text = text[serve.end() :]
        return self._shown(first_line + (self._run_shell(text) if text.strip() else ""))

    def _run_shell(self, text: str) -> str:
        return self._run(["bash", "-euc", f"exec 2>&1\n{self._aimed(text)}"], {})

    def _run_python(self, text: str) -> str:
        return self._shown(self._run([sys.executable, "-c", self._aimed(text)], {"PYTHONWARNINGS": "error"}))

    def _run(self, command: list[str], environment: Mapping[str, str]) -> str:
        done = subprocess.run(
            command,
            cwd=self._directory,
            env=self._environment() | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{command[-1]}\nends with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def _environment(self) -> dict[str, str]:
        ours = Path(sys.executable).parent
        return own_environment(
            {
                "PATH": f"{ours}:{os.environ['PATH']}",
                "HOME": str(self._directory),
                "NO_COLOR": "1",
                "NO_PROXY": "127.0.0.1",
                "no_proxy": "127.0.0.1",
                **({"RUNSINK_URL": self._url} if self._url else {}),
            }
        )

    def _serve(self, variables: list[str], options: list[str]) -> str:
        """Start the page's server, in place of the one before; return what it prints."""
        self._server.close()
        environment = dict(variable.split("=", 1) for variable in variables)
        served = self._server.enter_context(serving_process(["--port", "0", *options], self._directory, environment))
        self._url = served.api.url
        return served.first_line

    def _aimed(self, text: str) -> str:
        """Return an example with the address of the page's server in place of the one shown."""
        if urlsplit(URL).netloc in text and self._url is None:
            self._serve([], [])
        return text if self._url is None else text.replace(urlsplit(URL).netloc, urlsplit(self._url).netloc)

    def _shown(self, printed: str) -> str:
        return printed if self._url is None else printed.replace(urlsplit(self._url).netloc, urlsplit(URL).netloc)

    def _run_sql(self, block: Block) -> None:
        if not block.is_for_duckdb:
            store = apsw.Connection(str(self._directory / STORE), flags=apsw.SQLITE_OPEN_READONLY)
            try:
                rows = store.execute(block.text).fetchall()
            finally:
                store.close()
            self._check(block, block.printed, "".join(f"{'|'.join(map(_cell, row))}\n" for row in rows))
        elif WITH_DUCKDB:
            self._check(block, block.printed, query_duckdb(block.text, self._directory))
        else:
            self.left_out.append(block.place)

    def _load_settings(self, text: str) -> None:
        file = self._directory / "example.toml"
        file.write_text(text, encoding="utf-8")
        for name in [name for name in os.environ if name.startswith("RUNSINK_")]:
            self._monkeypatch.delenv(name)
        self._monkeypatch.setenv("RUNSINK_CONFIG", str(file))
        load_settings({})


def _cell(value: object) -> str:
    """Return a value as the shell of SQLite prints it."""
    return "" if value is None else str(value)


def query_duckdb(text: str, directory: Path) -> str:
    """Run SQL with DuckDB in a directory, and return the last result as its shell prints it.

    The extension for SQLite comes from a wheel, so ``INSTALL sqlite`` needs no network.
    """
    script = f"""
import duckdb, importlib.util, pathlib
package = pathlib.Path(importlib.util.find_spec({DUCKDB_EXTENSION!r}).origin).parent
(extension,) = package.rglob("*.duckdb_extension")
connection = duckdb.connect()
connection.execute("SET extension_directory = 'duckdb-extensions'")
connection.execute(f"INSTALL '{{extension}}'")
print(connection.sql({text!r}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
