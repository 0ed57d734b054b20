"""The command line: ``runsink upload FILE…``."""

import click

from entrypoints.cli.options import json_option, retry_option, url_option


@click.command("upload")
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True),
)
@url_option()
@click.option("--atomic", is_flag=True, help="Send batches of up to 1000 runs, each of which is stored whole or not.")
@click.option("--job", is_flag=True, help="Have the server spool the file and work through it; wait for that.")
@retry_option
@json_option
def upload(  # noqa: PLR0913 - a parameter an option
    files: tuple[str, ...], url: str, retry_seconds: float, *, atomic: bool, job: bool, as_json: bool
) -> None:
    """Upload files of runs to a server; - is standard input.

    A file holds newline-delimited JSON, an array of runs, or an object with an array "runs"; it may be compressed with
    gzip or zstd. Every run is stored or rejected on its own. Rejected runs go to FILE.rejected.ndjson, with their
    errors. An upload that breaks off goes on where it was; to upload a file again is always safe, since what is stored
    already is known by its event_id.
    """
    if atomic and job:
        raise click.UsageError("--atomic and --job exclude each other: a job stores every run on its own")
    if len(set(files)) < len(files):
        raise click.UsageError("a file is named twice")
    from entrypoints.cli.upload import upload_files

    upload_files(files, url, retry_seconds, "batches" if atomic else "job" if job else "stream", as_json=as_json)
