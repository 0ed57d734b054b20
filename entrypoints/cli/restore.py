"""What ``runsink restore`` does."""

from pathlib import Path

from entrypoints.cli.maintenance import at_work, facts_of, show
from entrypoints.cli.options import load_or_end
from entrypoints.cli.terminal import say
from entrypoints.maintenance import restore_database
from entrypoints.process.job_service import spool_directory


def restore_backup(file: Path, database: str, *, as_json: bool) -> None:
    """Copy a backup to where a server expects its database, and print the report on that."""
    spool = spool_directory(load_or_end({"db": database}).settings)
    with at_work("nothing was restored") as screen:
        restored = restore_database(file, database, spool, screen.show_copy(file.name))
    found = {"failed_jobs": restored.failed_jobs, "unknown_bodies": restored.unknown_bodies}
    show({"database": database, **facts_of(restored.report), **found}, as_json=as_json)
    if restored.failed_jobs:
        say(f"{restored.failed_jobs} unfinished jobs were marked as failed, because their bodies are not in {spool}")
    if restored.unknown_bodies:
        say(
            f"{restored.unknown_bodies} bodies in {spool} belong to no unfinished job of the backup; a server removes "
            "them when it starts, so copy them elsewhere first if their runs are missing"
        )
