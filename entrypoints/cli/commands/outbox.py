"""The command line: ``runsink outbox flush FILE``."""

from pathlib import Path

import click

from entrypoints.cli.lazy_group import SuggestingGroup
from entrypoints.cli.options import json_option, retry_option, url_option


@click.group("outbox", cls=SuggestingGroup)
def outbox() -> None:
    """Send what Local Telemetry clients could not send."""


@outbox.command("flush")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@url_option()
@retry_option
@json_option
def flush(file: Path, url: str, retry_seconds: float, *, as_json: bool) -> None:
    """Send the entries of an outbox FILE to a server.

    An entry leaves the file once the server has acknowledged it, and clients may go on appending meanwhile. What the
    server rejects goes to FILE.rejected, with the reason. After a crash, flush again: nothing is lost, and nothing is
    stored twice.
    """
    from entrypoints.cli.outbox import flush_file

    flush_file(file, url, retry_seconds, as_json=as_json)
