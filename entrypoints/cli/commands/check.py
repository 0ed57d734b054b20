"""The command line: ``runsink check``."""

import click

from entrypoints.cli.options import database_option, json_option


@click.command("check")
@database_option()
@json_option
def check(db: str, *, as_json: bool) -> None:
    """Check a database for damage: its schema, every page, every run, the index of their IDs, and the counts.

    Nothing is written, and servers may keep running. Exit status 1 means damage.
    """
    from entrypoints.cli.check import check_and_report

    check_and_report(db, as_json=as_json)
