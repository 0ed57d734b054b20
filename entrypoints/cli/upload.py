"""What ``runsink upload`` does."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Literal

import attrs

from adapters.api_client.errors import ApiError, InvalidResponseError
from adapters.api_client.retry import RetryPolicy
from adapters.api_client.retrying import GaveUpError, Patience
from adapters.api_client.uploading import Upload, Uploaded, UploadEndedError
from adapters.run_file import DamagedFileError, RunFile
from entrypoints.cli.options import connect
from entrypoints.cli.terminal import Progress, format_table, print_result, say
from entrypoints.exits import INTERRUPTED, REJECTED, UNAVAILABLE, WRONG_USAGE

_COUNTS: Final = ("total", "created", "existing", "failed")
_SHOWN: Final = 10
_OF_THE_SETTINGS: Final = frozenset({401, 403, 404, 405, 415, 421})
"""Statuses that a wrong URL or token causes."""

_Send = Callable[[Upload, RunFile], None]
_WAYS: Final[Mapping[str, _Send]] = {"stream": Upload.stream, "batches": Upload.send_batches, "job": Upload.run_job}


@attrs.frozen
class _Report:
    """What became of one file: its exit status, and why it is not 0 where that is not the rejected runs."""

    file: str
    uploaded: Uploaded
    status: int
    reason: str | None
    rejected_file: str | None


def upload_files(
    files: Sequence[str], url: str, retry_seconds: float, way: Literal["stream", "batches", "job"], *, as_json: bool
) -> None:
    """Upload the files, print what became of them, and end with the exit status."""
    send = _WAYS[way]
    reports: list[_Report] = []
    for file in files:
        reports.append(_upload_file(file, url, retry_seconds, send))
        if reports[-1].status in {INTERRUPTED, UNAVAILABLE, WRONG_USAGE}:
            break
    _show(reports, as_json=as_json)
    sys.exit(max(report.status for report in reports))


def _upload_file(name: str, url: str, retry_seconds: float, send: _Send) -> _Report:
    """Upload one file and say on stderr what is not as it should be."""
    with closing(RunFile(None if name == "-" else Path(name))) as source:
        return _upload_source(source, url, retry_seconds, send)


def _upload_source(source: RunFile, url: str, retry_seconds: float, send: _Send) -> _Report:
    label = Path(source.name).name
    with Progress(label, source.size, "runs") as progress, connect(url) as connection:

        def on_retry(reason: str, seconds: float) -> None:
            progress.clear()
            say(f"{reason}; trying again in {seconds:.1f} s")

        def on_progress(uploaded: Uploaded, done: int, whole: int | None) -> None:
            progress.update(uploaded.total, done, whole)

        upload = Upload(connection, Patience(RetryPolicy(seconds=retry_seconds), on_retry), on_progress)
        status, reason = _attempt(lambda: send(upload, source))
        progress.clear()
    rejected_file = None
    if upload.uploaded.failed:
        status = status or REJECTED
    if upload.uploaded.errors:
        rejected_file = _write_rejected(source, upload.uploaded)
    if reason is not None:
        say(f"{source.name}: {reason}")
        say(_describe_state(upload.uploaded))
    _show_findings(source.name, upload.uploaded, rejected_file)
    return _Report(source.name, upload.uploaded, status, reason, rejected_file)


def _attempt(send: Callable[[], None]) -> tuple[int, str | None]:
    """Send; return the exit status, and the reason if it did not get to the end."""
    try:
        send()
    except GaveUpError as error:
        status, reason = UNAVAILABLE, str(error)
    except ApiError as error:
        status, reason = WRONG_USAGE if error.status in _OF_THE_SETTINGS else REJECTED, str(error)
    except InvalidResponseError as error:
        status, reason = WRONG_USAGE, str(error)
    except (UploadEndedError, DamagedFileError) as error:
        status, reason = REJECTED, str(error)
    except OSError as error:
        status, reason = REJECTED, error.strerror or str(error)
    except KeyboardInterrupt:
        status, reason = INTERRUPTED, "interrupted"
    else:
        return 0, None
    return status, reason


def _describe_state(uploaded: Uploaded) -> str:
    """Say what is stored and what is not, after an upload that did not get to its end."""
    rest = "upload again to be sure of the rest: nothing is stored twice"
    if not uploaded.last_line:
        return f"no line was acknowledged; {rest}"
    return (
        f"lines 1 to {uploaded.last_line} are decided: {uploaded.created:,} runs stored, {uploaded.existing:,} were "
        f"stored before, {uploaded.failed:,} rejected; of what follows, nothing or a part is stored; {rest}"
    )


def _write_rejected(source: RunFile, uploaded: Uploaded) -> str | None:
    """Write every rejected line with its number and its errors; return the name of the file."""
    path = Path(f"{source.name}.rejected.ndjson")
    new = path.with_name(f"{path.name}.new")
    rolled_back = {
        number: [{"field": None, "error": f"rolled back with its batch, because of line {bad}", "retryable": False}]
        for number, bad in uploaded.rolled_back.items()
    }
    left = {**rolled_back, **uploaded.errors}
    try:
        with new.open("wb") as file:
            for number, line in source.lines(min(left) - 1):
                if number in left:
                    file.write(_rejected_line(number, left.pop(number), line))
                if not left:
                    break
        new.replace(path)
    except (OSError, DamagedFileError) as error:
        say(f"cannot write the rejected runs to {path}: {error}")
        return None
    return str(path)


def _rejected_line(number: int, errors: Sequence[dict[str, Any]], line: bytes) -> bytes:
    head = json.dumps({"line": number, "errors": errors})[:-1].encode()
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return head + b', "text": ' + json.dumps(line.decode(errors="backslashreplace")).encode() + b"}\n"
    return head + b', "run": ' + line.strip() + b"}\n"


def _show_findings(name: str, uploaded: Uploaded, rejected_file: str | None) -> None:
    for number, errors in list(uploaded.errors.items())[:_SHOWN]:
        say(f"{name}, line {number}: {'; '.join(str(error['error']) for error in errors)}")
    if len(uploaded.errors) > _SHOWN:
        say(f"{name}: and {len(uploaded.errors) - _SHOWN:,} more lines")
    if uploaded.batches > 1:
        say(f"{name} was sent in {uploaded.batches:,} batches, each of which is stored whole or not at all")
    if uploaded.rolled_back:
        say(f"{name}: {len(uploaded.rolled_back):,} good runs are not stored, because others of their batch are not")
    if rejected_file:
        say(f"rejected runs are in {rejected_file}")
    for conflict in uploaded.conflicts[:_SHOWN]:
        fields = ", ".join(conflict["fields"])
        say(f"{name}, line {conflict['line']}: another run is stored as {conflict['event_id']}; it differs in {fields}")
    more = max(0, len(uploaded.conflicts) - _SHOWN) + uploaded.conflicts_omitted
    if more:
        say(f"{name}: and {more:,} more that differ from what is stored")


def _show(reports: Sequence[_Report], *, as_json: bool) -> None:
    rows = [[getattr(report.uploaded, count) for count in _COUNTS] for report in reports]
    sums = [sum(column) for column in zip(*rows, strict=True)]
    if as_json:
        files = [_json_report(report, counts) for report, counts in zip(reports, rows, strict=True)]
        print_result(json.dumps({**dict(zip(_COUNTS, sums, strict=True)), "files": files}))
        return
    table = [[report.file, *counts] for report, counts in zip(reports, rows, strict=True)]
    print_result(format_table(["file", *_COUNTS], [*table, *([["all", *sums]] if len(reports) > 1 else [])]))


def _json_report(report: _Report, counts: Sequence[int]) -> dict[str, Any]:
    return {
        "file": report.file,
        **dict(zip(_COUNTS, counts, strict=True)),
        "last_line": report.uploaded.last_line,
        "conflicts": len(report.uploaded.conflicts) + report.uploaded.conflicts_omitted,
        "rejected_file": report.rejected_file,
        "detail": report.reason,
    }
