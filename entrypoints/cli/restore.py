"""The command line: ``runsink restore FILE``."""

from pathlib import Path

import click

from entrypoints.cli.maintenance import at_work, database_option, facts_of, settings_with, show
from entrypoints.cli.options import json_option
from entrypoints.cli.terminal import say


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path))
@database_option
@json_option
def restore(file: Path, db: str | None, *, as_json: bool) -> None:
    """Check a backup FILE and copy it to where a server expects its database, which must not be there.

    Runs that were acknowledged after the backup are missing until their clients send them again.
    """
    from entrypoints.maintenance import restore_database  # noqa: PLC0415 - only what the command needs
    from entrypoints.process.job_service import spool_directory  # noqa: PLC0415 - only what the command needs

    settings = settings_with(db)
    spool = spool_directory(settings)
    with at_work("nothing was restored") as screen:
        restored = restore_database(file, settings.db, spool, screen.show_copy(file.name))
    found = {"failed_jobs": restored.failed_jobs, "unknown_bodies": restored.unknown_bodies}
    show({"database": settings.db, **facts_of(restored.report), **found}, as_json=as_json)
    if restored.failed_jobs:
        say(f"{restored.failed_jobs} unfinished jobs were marked as failed, because their bodies are not in {spool}")
    if restored.unknown_bodies:
        say(
            f"the bodies of {restored.unknown_bodies} jobs in {spool} are of jobs that the backup does not know as "
            "unfinished; a server removes them when it starts, so copy them elsewhere first if their runs are missing"
        )
