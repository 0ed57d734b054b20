"""Groups of commands: each command is imported only when it is run, and a mistyped name gets a suggestion."""

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from entrypoints.exits import INTERRUPTED, end_with

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class SuggestingGroup(click.Group):
    """A group that suggests the nearest command for an unknown one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        name = args[0]
        # What begins like an option is left to click, which has suggestions for these.
        if name not in known and not name.startswith("-") and not ctx.resilient_parsing:
            near = get_close_matches(name, known, 1)
            ctx.fail(f"No such command {name!r}." + (f" Did you mean {near[0]}?" if near else ""))
        return super().resolve_command(ctx, args)


class LazyCommand(NamedTuple):
    """Where a command is defined, and the line that the help of its group shows for it."""

    module: str
    name: str
    short_help: str

    def load(self) -> click.Command:
        """Import the command."""
        command: click.Command = getattr(import_module(self.module), self.name)
        return command


class LazyGroup(SuggestingGroup):
    """A group whose help, whose completion and whose other commands import nothing."""

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

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list["CompletionItem"]:
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only a completion needs it

        names = [
            CompletionItem(name, help=command.short_help)
            for name, command in self.lazy_commands.items()
            if name.startswith(incomplete)
        ]
        # Those of a plain command are the options; a group's would import every command.
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            end_with("interrupted", INTERRUPTED)
