"""The command line: ``runsink serve``."""

import click

from entrypoints.cli.options import load_or_end
from entrypoints.cli.setting_options import setting_options


@click.command("serve", params=setting_options())
@click.option("--open", "opens", is_flag=True, help="Open the page on the runs in a browser once the server listens.")
def serve(*, opens: bool, **options: str | bool | None) -> None:
    """Take runs over HTTP until SIGTERM or SIGINT."""
    from entrypoints.cli.serve import serve  # the slowest import of all

    serve(load_or_end(options).settings, opens=opens)
