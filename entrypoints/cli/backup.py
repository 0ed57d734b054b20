"""What ``runsink backup`` does."""

from pathlib import Path

from entrypoints.cli.maintenance import at_work, facts_of, show
from entrypoints.maintenance import back_up_database


def back_up(file: Path, database: str, *, as_json: bool) -> None:
    """Copy a database into a new file and print the report on that."""
    with at_work("there is no backup") as screen:
        report = back_up_database(database, file, screen.show_copy(file.name))
    show({"backup": str(file), **facts_of(report)}, as_json=as_json)
