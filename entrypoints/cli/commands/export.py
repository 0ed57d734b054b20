"""The command line: ``runsink export``."""

from pathlib import Path
from typing import Final

import click

from entrypoints.cli.options import complete_paths, url_option

FILTERS: Final = {
    "event_id": "Only runs with this event_id.",
    "status": "Only runs with one of these statuses, separated by commas.",
    "job_type": "Only runs with this job_type.",
    "agent_name": "Only runs with this agent_name.",
    "run_id": "Only runs with this run_id.",
    "parent_run_id": "Only runs with this parent_run_id.",
    "product": "Only runs with this product.",
    "start_time_from": "Only runs that start in this range.",
    "start_time_to": "Only runs that start in this range.",
    "q": "Only runs with this text in their names, summaries, error details or commit.",
}


def _filter_options(command: click.Command) -> click.Command:
    for name, text in FILTERS.items():
        command.params.append(click.Option([f"--{name.replace('_', '-')}", name], help=text))
    # As in a query string; without the option there is no such parameter.
    roots = click.Option(["--roots"], is_flag=True, flag_value="true", default=None, help="Only runs without a parent.")
    command.params.append(roots)
    return command


@click.command("export")
@url_option(default=None)
@click.option(
    "--db",
    metavar="DB",
    shell_complete=complete_paths,
    help="Export from a database instead: the path of an SQLite file, or a URL postgresql://…",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["ndjson", "csv"]),
    default="ndjson",
    show_default=True,
    help="Form of the export.",
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write; standard output by default."
)
@click.pass_context
def export(
    context: click.Context, /, url: str | None, db: str | None, form: str, output: Path | None, **filters: str | None
) -> None:
    """Export all matching runs, oldest first, from a server or a database.

    A file appears only once it is complete. Newline-delimited JSON can be uploaded again: the same runs result.
    """
    if db is not None and context.get_parameter_source("url") is click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError("--url and --db exclude each other")
    from entrypoints.cli.export import write_export

    which = {name: value for name, value in filters.items() if value is not None}
    write_export(which, form, output, url=url, database=db)


export = _filter_options(export)
