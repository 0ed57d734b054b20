"""The command line, one module a command. A command is imported only when it is run."""

import click

from entrypoints.cli.lazy_group import LazyCommand, LazyGroup

COMMANDS = {
    "serve": LazyCommand("entrypoints.cli.serve", "serve_command", "Take runs over HTTP until SIGTERM or SIGINT."),
    "upload": LazyCommand("entrypoints.cli.upload", "upload", "Upload files of runs to a server."),
    "export": LazyCommand("entrypoints.cli.export", "export", "Export runs from a server or a database."),
    "outbox": LazyCommand("entrypoints.cli.outbox", "outbox", "Send what Local Telemetry clients could not send."),
    "prune": LazyCommand("entrypoints.cli.prune", "prune", "Delete the runs that start before a date."),
    "migrate-store": LazyCommand(
        "entrypoints.cli.migrate_store", "migrate_store", "Copy every run of one database into another."
    ),
}


def main() -> None:
    """Run the command line. Of the configuration nothing is read before a command needs it."""
    group = LazyGroup("runsink", COMMANDS, help="Keeps the runs that agents, pipelines and LLM workers upload.")
    click.version_option(package_name="runsink", prog_name="runsink")(group)()


__all__ = ["COMMANDS", "main"]
