"""The command line: ``runsink serve``, as far as its help and its completion need it."""

import click

from entrypoints.cli.options import load_or_end
from entrypoints.cli.setting_options import setting_options


def _serve(**options: str | bool | None) -> None:
    loaded = load_or_end(options)
    # Imported here because the server takes longer to import than all other commands together.
    from entrypoints.cli.serve import serve  # noqa: PLC0415

    serve(loaded.settings)


serve_command = click.Command(
    "serve", params=[*setting_options()], callback=_serve, help="Take runs over HTTP until SIGTERM or SIGINT."
)
