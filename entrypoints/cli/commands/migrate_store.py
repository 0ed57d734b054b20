"""The command line: ``runsink migrate-store FROM TO``."""

import click

from entrypoints.cli.options import complete_paths, json_option


@click.command("migrate-store")
@click.argument("source", metavar="FROM", shell_complete=complete_paths)
@click.argument("target", metavar="TO", shell_complete=complete_paths)
@json_option
def migrate_store(source: str, target: str, *, as_json: bool) -> None:
    """Copy every run of the database FROM into the database TO, then check that both hold the same.

    Each is the path of an SQLite file or a URL, postgresql://…; TO is created if missing. What is in TO already is
    left alone, so an interrupted migration resumes when the command is run again. Stop the servers that write to either
    of them first. Runs that start before the retention horizon of TO stay out of it.
    """
    from entrypoints.cli.migrate_store import migrate

    migrate(source, target, as_json=as_json)
