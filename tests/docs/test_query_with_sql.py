"""``docs/how-to/query-with-sql.md`` explains the file as it is."""

from pathlib import Path

import apsw

import runsink
from tests.docs.pages import DOCS, names_in, table_under
from tests.servers import MakeRun

PAGE = DOCS / "how-to" / "query-with-sql.md"
TYPES = {"TEXT": "text", "INTEGER": "integer"}


def columns_of(file: Path) -> dict[str, dict[str, str]]:
    """Return the type of each column of each table."""
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        query = "SELECT name, type FROM pragma_table_xinfo(?)"
        return {
            table: {name: TYPES[kind] for name, kind in connection.execute(query, (table,))}
            for table in tables
            if not table.startswith("sqlite_")
        }
    finally:
        connection.close()


def documented_columns() -> dict[str, dict[str, str]]:
    """Return the same as the page has it; a heading may name several tables."""
    chapter = PAGE.read_text(encoding="utf-8").partition("## Every column")[2]
    documented = {}
    for line in chapter.splitlines():
        if line.startswith("### "):
            heading = line.removeprefix("### ")
            rows = table_under(PAGE, heading)
            columns = {name: row[1] for row in rows for name in names_in(row[0])}
            documented |= dict.fromkeys(heading.split(", "), columns)
    return documented


def test_every_column_is_explained(tmp_path: Path) -> None:
    """The page has exactly the tables and columns of a new file, with their types."""
    runsink.open_store(tmp_path / "runs.db").close()
    assert documented_columns() == columns_of(tmp_path / "runs.db")


def test_the_epoch_of_starts_is_as_documented(tmp_path: Path, make_run: MakeRun) -> None:
    """``start`` counts microseconds from the instant that the page names."""
    with runsink.open_store(tmp_path / "runs.db") as store:
        store.create(make_run(start_time="2028-01-01T00:00:00.000001Z"))
    connection = apsw.Connection(str(tmp_path / "runs.db"), flags=apsw.SQLITE_OPEN_READONLY)
    assert connection.execute("SELECT start FROM runs").fetchall() == [(1,)]
    connection.close()
