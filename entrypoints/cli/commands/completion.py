"""The command line: ``runsink completion SHELL``."""

import click
from click.shell_completion import get_completion_class

from entrypoints.cli.terminal import print_result

_PROGRAM = "runsink"
_VARIABLE = "_RUNSINK_COMPLETE"


@click.command("completion")
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell: bash (4.4 or newer), zsh or fish.

    Have the shell read it when it starts, such as with: source <(runsink completion bash)
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click has no completion for {shell}")
    script = kind(context.find_root().command, {}, _PROGRAM, _VARIABLE)
    # Not its source(), which starts a bash to look at its version.
    print_result(script.source_template % script.source_vars())
