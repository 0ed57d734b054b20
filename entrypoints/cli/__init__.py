"""The command line: ``commands`` declares each command, and the module of the same name beside it does the work."""

import click

from entrypoints.cli.lazy_group import LazyCommand, LazyGroup

COMMANDS = {
    "serve": LazyCommand("entrypoints.cli.commands.serve", "serve", "Take runs over HTTP until SIGTERM or SIGINT."),
    "upload": LazyCommand("entrypoints.cli.commands.upload", "upload", "Upload files of runs to a server."),
    "export": LazyCommand("entrypoints.cli.commands.export", "export", "Export runs from a server or a database."),
    "outbox": LazyCommand(
        "entrypoints.cli.commands.outbox", "outbox", "Send what Local Telemetry clients could not send."
    ),
    "check": LazyCommand("entrypoints.cli.commands.check", "check", "Check a database for damage, in use or not."),
    "backup": LazyCommand("entrypoints.cli.commands.backup", "backup", "Copy a database file, in use or not."),
    "restore": LazyCommand(
        "entrypoints.cli.commands.restore", "restore", "Put a backup where a server expects its database."
    ),
    "prune": LazyCommand("entrypoints.cli.commands.prune", "prune", "Delete the runs that start before a date."),
    "migrate-store": LazyCommand(
        "entrypoints.cli.commands.migrate_store", "migrate_store", "Copy every run of one database into another."
    ),
    "settings": LazyCommand(
        "entrypoints.cli.commands.settings", "settings", "Show the settings in force, and where each is set."
    ),
    "healthcheck": LazyCommand(
        "entrypoints.cli.commands.healthcheck", "healthcheck", "Ask a server whether it takes runs."
    ),
    "completion": LazyCommand(
        "entrypoints.cli.commands.completion", "completion", "Print the completion script of a shell."
    ),
}


def build_group() -> LazyGroup:
    """Return the command line. Of the configuration nothing is read before a command needs it."""
    group = LazyGroup("runsink", COMMANDS, help="Keeps the runs that agents, pipelines and LLM workers upload.")
    click.version_option(package_name="runsink", prog_name="runsink")(group)
    return group


def main() -> None:
    """Run the command line."""
    build_group()()


__all__ = ["COMMANDS", "build_group", "main"]
