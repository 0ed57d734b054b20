"""Which store a setting selects, and which part of it is shown."""

import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import StoreUnusableError
from entrypoints.database_urls import shown_database
from entrypoints.databases import open_database
from entrypoints.settings import Settings

OPEN = """
import sys
if sys.argv[2] == "without":
    sys.modules["psycopg"] = None  # what importing finds where it is not installed
from core.errors import StoreUnusableError
from entrypoints.databases import open_database
try:
    open_database(sys.argv[1]).close()
except StoreUnusableError as error:
    print(error)
print(sorted({"psycopg", "psycopg_pool"} & {name for name, module in sys.modules.items() if module}))
"""


def opened_elsewhere(database: str, extra: str) -> list[str]:
    """Return what another process prints on opening it, and which packages it imported."""
    command = [sys.executable, "-c", OPEN, database, extra]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.splitlines()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_without_the_extra_the_error_says_what_to_install(scheme: str) -> None:
    """The message names the command to run, and not the password."""
    (line, imported) = opened_elsewhere(f"{scheme}://u:secret@127.0.0.1:1/db", "without")
    assert line.startswith(f"cannot use {scheme}://u@127.0.0.1:1/db: ")
    assert "pip install 'runsink[postgres]'" in line
    assert "secret" not in line
    assert imported == "[]"


def test_a_file_needs_nothing_of_postgres(tmp_path: Path) -> None:
    """A server on a file imports none of the extra, installed or not."""
    assert opened_elsewhere(str(tmp_path / "runs.db"), "with") == ["[]"]
    assert opened_elsewhere(str(tmp_path / "runs.db"), "without") == ["[]"]


@pytest.mark.parametrize("database", ["mysql://u:secret@h/db", "sqlite:///secret@x"])
def test_another_engine_is_refused(database: str) -> None:
    """A URL with another scheme is not a path."""
    with pytest.raises(StoreUnusableError, match="begins with postgresql://") as caught:
        open_database(database)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("database", "shown"),
    [
        ("./runs.db", "./runs.db"),
        ("a:b@c.db", "a:b@c.db"),
        ("postgresql://h/db", "postgresql://h/db"),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
        ("postgresql://u:secret@h/db", "postgresql://u@h/db"),
        ("postgresql://u:se:cret@h/db", "postgresql://u@h/db"),
        ("postgresql://:secret@h", "postgresql://@h"),
        ("postgresql://u:secret@h:1,[::1]:2/db?sslmode=require", "postgresql://u@h:1,[::1]:2/db"),
        ("postgresql:///db?host=/tmp&password=secret", "postgresql:///db"),
        ("postgresql://u:se@cret@h/db", "postgresql://…"),
        ("postgresql://u:1/se/cret@h/db", "postgresql://…"),
        ("postgresql://u:se?cret@h/db", "postgresql://…"),
        ("postgresql://u:se#cret@h/db", "postgresql://…"),
        ("postgresql://u:secret", "postgresql://…"),
        ("postgresql://h/db?password=se@cret", "postgresql://…"),
    ],
)
def test_what_is_shown_has_no_password(database: str, shown: str) -> None:
    """Passwords and parameters are hidden; if the password's extent is unknown, only the scheme is shown."""
    assert shown_database(database) == shown
    assert f" db={shown}," in repr(Settings(db=database))
