"""The command line: ``runsink backup FILE``."""

from pathlib import Path

import click

from entrypoints.cli.maintenance import at_work, database_option, facts_of, settings_with, show
from entrypoints.cli.options import json_option


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@database_option
@json_option
def backup(file: Path, db: str | None, *, as_json: bool) -> None:
    """Copy a database file into a new FILE, while servers use it or not.

    FILE appears only once it is complete, checked and on the disk. It has every run that was acknowledged before the
    command began. A FILE that exists is left alone.
    """
    from entrypoints.maintenance import back_up_database  # noqa: PLC0415 - only what the command needs

    database = settings_with(db).db
    with at_work("there is no backup") as screen:
        report = back_up_database(database, file, screen.show_copy(file.name))
    show({"backup": str(file), **facts_of(report)}, as_json=as_json)
