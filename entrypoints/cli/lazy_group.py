"""A group of commands, each imported only when it is run."""

from collections.abc import Mapping
from importlib import import_module

import attrs
import click


@attrs.frozen
class LazyCommand:
    """Where a command is defined, and the line that the help of its group shows for it."""

    module: str
    name: str
    short_help: str

    def load(self) -> click.Command:
        """Import the command."""
        command: click.Command = getattr(import_module(self.module), self.name)
        return command


class LazyGroup(click.Group):
    """A group whose help and whose other commands import nothing."""

    def __init__(self, name: str, lazy_commands: Mapping[str, LazyCommand], *, help: str) -> None:  # noqa: A002 - click's word
        super().__init__(name, help=help)
        self.lazy_commands = lazy_commands

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.lazy_commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        found = self.lazy_commands.get(cmd_name)
        return found.load() if found else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.short_help) for name, command in self.lazy_commands.items()])
