"""What ``runsink export`` does."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final
from urllib.parse import urlencode

from adapters.api_client.connection import ApiStream
from adapters.api_client.errors import ApiError, InvalidResponseError
from adapters.api_client.retry import RetryPolicy, is_retried, parse_retry_after
from adapters.api_client.retrying import GaveUpError, Patience, describe_detail, parse_object
from core.errors import InvalidQueryError, RunsinkError, ServerUnreachableError, StoreError
from core.model.listing import RunPage
from core.ports.run_repository import RunReader
from entrypoints.cli.options import DEFAULT_URL, connect
from entrypoints.cli.terminal import Progress, abandon_stdout, say
from entrypoints.exits import INTERRUPTED, REJECTED, UNAVAILABLE, WRONG_USAGE, end_with

_TYPES: Final = {"ndjson": "application/x-ndjson", "csv": "text/csv"}
_RETRY_SECONDS: Final = 30.0
_OF_THE_REQUEST: Final = frozenset({400, 401, 403, 404, 405, 421, 422})
"""Statuses that a wrong URL, token or filter causes."""

_Write = Callable[[bytes], object]


class TruncatedExportError(RunsinkError):
    """The server broke off; what arrived is not everything."""


def write_export(
    which: Mapping[str, str], form: str, output: Path | None, *, url: str | None, database: str | None
) -> None:
    """Write the runs that match the filters, from the database if there is one, else from the server."""
    label = "export" if output is None else output.name
    with Progress(label, None, "runs") as progress:
        try:
            pieces = (
                _of_server(url or DEFAULT_URL, which, form) if database is None else _of_database(database, which, form)
            )
            with _opened(output) as write:
                runs, size = 0, 0
                for piece in pieces:
                    write(piece)
                    runs, size = runs + piece.count(b"\n"), size + len(piece)
                    progress.update(runs, size)
        except BrokenPipeError:
            abandon_stdout()
        except (RunsinkError, OSError, KeyboardInterrupt) as error:
            progress.clear()
            end_with(_describe(error), status=_status_of(error))


def _status_of(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, GaveUpError):
        return UNAVAILABLE
    if isinstance(error, StoreError):
        # Here, because an export from a server opens no database.
        from entrypoints.cli.databases import status_of  # noqa: PLC0415

        return status_of(error)
    if isinstance(error, (InvalidResponseError, InvalidQueryError)):
        return WRONG_USAGE
    return WRONG_USAGE if isinstance(error, ApiError) and error.status in _OF_THE_REQUEST else REJECTED


def _describe(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; the export is not complete"
    if isinstance(error, OSError):
        return f"{error.filename or 'cannot write'}: {error.strerror}"
    return str(error)


@contextmanager
def _opened(output: Path | None) -> Iterator[_Write]:
    """Open where the export goes; a file gets its name once it is complete and on the disk."""
    if output is None or str(output) == "-":
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    with NamedTemporaryFile(dir=output.parent, prefix=f".{output.name}.", delete=False) as file:
        try:
            yield file.write
            file.flush()
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            os.fsync(file.fileno())
            Path(file.name).replace(output)
        except BaseException:
            Path(file.name).unlink()
            raise


def _umask() -> int:
    """Return the file mode creation mask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _of_server(url: str, which: Mapping[str, str], form: str) -> Iterator[bytes]:
    """Read an export as it arrives.

    Raises:
        GaveUpError: the server could not be reached, or stayed busy.
        TruncatedExportError: it broke off.
        ApiError: the server refuses.
    """
    path = f"/api/v1/export?{urlencode({'format': form, **which})}"
    patience = Patience(
        RetryPolicy(seconds=_RETRY_SECONDS), lambda reason, wait: say(f"{reason}; waiting {wait:.1f} s")
    )
    with connect(url) as connection:
        attempts = patience.begin()
        while True:
            try:
                with connection.stream("GET", path, headers={"Accept": _TYPES[form]}) as exchange:
                    if exchange.status == 200:
                        yield from _pieces(exchange)
                        return
                    reason = ApiError(exchange.status, describe_detail(parse_object(exchange.read())))
                    retry_after = parse_retry_after(exchange.headers.get("retry-after"))
            except ServerUnreachableError as error:
                raise GaveUpError(str(error)) from error
            if not is_retried(reason.status):
                raise reason
            patience.wait(attempts, reason, retry_after)


def _pieces(exchange: ApiStream) -> Iterator[bytes]:
    try:
        if "chunked" not in exchange.headers.get("transfer-encoding", "") and "content-length" not in exchange.headers:
            raise TruncatedExportError("the response has no end that could be told from a broken connection")
        yield from exchange.pieces()
    except ServerUnreachableError as error:
        raise TruncatedExportError(f"the export is not complete: {error}") from error


def _of_database(database: str, which: Mapping[str, str], form: str) -> Iterator[bytes]:
    """Read an export from a database, which may be in use.

    Raises:
        StoreError: it cannot be read.
        InvalidQueryError: a filter breaks its rule.
    """
    # Here, because an export from a server needs none of it.
    from adapters.wire.csv import csv_header, csv_rows  # noqa: PLC0415
    from adapters.wire.encode import encode  # noqa: PLC0415
    from adapters.wire.structure import Structurer  # noqa: PLC0415
    from core.use_cases.export import export_runs  # noqa: PLC0415
    from entrypoints.cli.databases import open_existing  # noqa: PLC0415

    run_filter = Structurer().run_filter(which)
    with closing(open_existing(database)) as store:

        def read(query: Callable[[RunReader], RunPage]) -> RunPage:
            with store.reader() as runs:
                return query(runs)

        if form == "csv":
            yield csv_header()
        for runs in export_runs(run_filter, read):
            yield csv_rows(runs) if form == "csv" else b"".join(encode(run) + b"\n" for run in runs)
