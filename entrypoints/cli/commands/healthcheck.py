"""The command line: ``runsink healthcheck``."""

import click

from entrypoints.cli.options import check_url, json_option


@click.command("healthcheck")
@click.option(
    "--url",
    callback=check_url,
    help="Server to ask; by default the one that runsink serve would be, with the same settings, on this machine.",
)
@json_option
def healthcheck(url: str | None, *, as_json: bool) -> None:
    """Ask a server whether it takes runs.

    The exit status is 0 if it does, 1 if it does not, and 75 if it does not respond within 5 seconds or responds with
    429.
    """
    from entrypoints.cli.healthcheck import ask

    ask(url, as_json=as_json)
