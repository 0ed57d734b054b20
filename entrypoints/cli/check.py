"""What ``runsink check`` does."""

import sys

from adapters.store_check import StoreReport
from entrypoints.cli.maintenance import at_work, facts_of, show
from entrypoints.cli.terminal import say
from entrypoints.database_urls import shown_database
from entrypoints.exits import REJECTED
from entrypoints.maintenance import check_database


def check_and_report(database: str, *, as_json: bool) -> None:
    """Check a database, print the report, and end with 1 if there is damage."""
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


def _complain(report: StoreReport) -> None:
    """Say what is wrong, and what to do."""
    for problem in report.problems:
        say(problem)
    if report.is_full:
        say(f"these are the first {len(report.problems)} problems; there may be more")
    say(
        "the database is damaged: stop every process that uses it, keep a copy of its files, and restore a backup; "
        "without one, `runsink migrate-store` copies what can be read into a new database"
    )
