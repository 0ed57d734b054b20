"""The command line: ``runsink check``."""

import sys
from typing import TYPE_CHECKING

import click

from entrypoints.cli.maintenance import at_work, database_option, facts_of, settings_with, show
from entrypoints.cli.options import json_option
from entrypoints.cli.terminal import say
from entrypoints.exits import REJECTED

if TYPE_CHECKING:
    from adapters.store_check import StoreReport


@click.command("check")
@database_option
@json_option
def check(db: str | None, *, as_json: bool) -> None:
    """Check a database for damage: its schema, every page, every run, the index of their IDs, and the counts.

    Nothing is written, and servers may be at work meanwhile. Exit status 1 means damage.
    """
    from entrypoints.databases import shown_database  # noqa: PLC0415 - only what the command needs
    from entrypoints.maintenance import check_database  # noqa: PLC0415 - only what the command needs

    database = settings_with(db).db
    with at_work("nothing was changed") as screen:
        report = check_database(database, screen.show("checking", "runs"))
    shown = shown_database(database)
    if as_json:
        facts = {"database": shown, "healthy": report.healthy, **facts_of(report), "problems": report.problems}
        show(facts, as_json=True)
    else:
        show({"database": shown, **facts_of(report), "healthy": "yes" if report.healthy else "no"}, as_json=False)
    if not report.healthy:
        _complain(report)
        sys.exit(REJECTED)


def _complain(report: "StoreReport") -> None:
    """Say what is wrong, and what to do."""
    for problem in report.problems:
        say(problem)
    if report.is_full:
        say(f"these are the first {len(report.problems)} problems; there may be more")
    say(
        "the database is damaged: stop every process that uses it, keep a copy of its files, and restore a backup; "
        "without one, `runsink migrate-store` copies what can be read into a new database"
    )
