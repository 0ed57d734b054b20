"""The command line: ``runsink serve``, as far as its help and its completion need it."""

import click

from entrypoints.cli.options import load_or_end
from entrypoints.cli.setting_options import setting_options


@click.command("serve", params=setting_options())
def serve_command(**options: str | bool | None) -> None:
    """Take runs over HTTP until SIGTERM or SIGINT."""
    loaded = load_or_end(options)
    # Imported here because the server takes longer to import than all other commands together.
    from entrypoints.cli.serve import serve  # noqa: PLC0415

    serve(loaded.settings)
