"""The command line: ``runsink backup FILE``."""

from pathlib import Path

import click

from entrypoints.cli.options import database_option, json_option


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@database_option()
@json_option
def backup(file: Path, db: str, *, as_json: bool) -> None:
    """Copy a database file to a new FILE. Servers may keep using it.

    FILE appears only once it is complete, checked and synced to disk. It has every run that was acknowledged before the
    command began. A FILE that exists is left alone.
    """
    from entrypoints.cli.backup import back_up

    back_up(file, db, as_json=as_json)
