"""The command line: ``runsink prune``."""

import click

from entrypoints.cli.options import database_option, json_option


@click.command("prune")
@click.option(
    "--before",
    required=True,
    metavar="DATE",
    help="Delete runs whose start_time is earlier: a date (midnight in UTC), or a timestamp with an offset.",
)
@database_option()
@click.option("--yes", is_flag=True, help="Delete; without it, only say what would be deleted.")
@json_option
def prune(before: str, db: str, *, yes: bool, as_json: bool) -> None:
    """Delete the runs that start before a date, and reject such runs from then on.

    Servers may keep running. An interrupted prune resumes when the command is run again.
    """
    from entrypoints.cli.prune import parse_date, prune_database

    prune_database(parse_date(before), db, yes=yes, as_json=as_json)
