"""The command line: ``runsink backup FILE``."""

from pathlib import Path

import click

from entrypoints.cli.maintenance import database_option, ending, facts_of, settings_with, show, showing_copy
from entrypoints.cli.options import json_option
from entrypoints.maintenance import back_up_database


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@database_option
@json_option
def backup(file: Path, db: str | None, *, as_json: bool) -> None:
    """Copy a database file into a new FILE, while servers use it or not.

    FILE appears only once it is complete, checked and on the disk. It has every run that was acknowledged before the
    command began. A FILE that exists is left alone.
    """
    database = settings_with(db).db
    with ending("there is no backup"):
        report = back_up_database(database, file, showing_copy(file.name))
    show({"backup": str(file), **facts_of(report)}, as_json=as_json)
