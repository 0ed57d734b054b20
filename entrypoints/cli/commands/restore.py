"""The command line: ``runsink restore FILE``."""

from pathlib import Path

import click

from entrypoints.cli.options import database_option, json_option


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path))
@database_option()
@json_option
def restore(file: Path, db: str, *, as_json: bool) -> None:
    """Check a backup FILE and copy it to the place of a database, where no file may exist.

    Runs that were acknowledged after the backup are missing until their clients send them again.
    """
    from entrypoints.cli.restore import restore_backup

    restore_backup(file, db, as_json=as_json)
