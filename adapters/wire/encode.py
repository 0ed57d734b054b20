"""Encoding the responses of the contract as JSON."""

from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs
import msgspec

from adapters.wire.query import format_cursor, format_number_cursor
from core.model.batch import BatchResult, Candidate, RefusedRun
from core.model.job import Job, JobPage
from core.model.listing import Cursor, Metadata, PageRequest
from core.model.refusal import Refusal, RefusalPage
from core.model.run import FIELDS, SERVER_FIELDS, WHOLE_SECOND, JsonText, Run, Timestamp, shown_time
from core.model.stream import LineError, StreamResult


def _embed(value: object) -> msgspec.Raw:
    """Embed the text of a JSON object in the response as that object."""
    if isinstance(value, JsonText):
        return msgspec.Raw(value.encode())
    raise NotImplementedError(f"no JSON for {type(value).__name__}")


_encoder = msgspec.json.Encoder(enc_hook=_embed)


_ERROR_BYTES: Final = 200
"""What an error has beside the ids and the reason, which stands in ``detail`` as well."""

_TIMES: Final = tuple(field.name for field in attrs.fields(Run) if field.type in (Timestamp, Timestamp | None))


def _generate_shown() -> Callable[[Run], Run]:
    """Return the function that prepares a run for a response; it is generated, as attrs generates ``__init__``.

    Every run in a response passes through it, and any other way to copy a run takes more than twice as long.
    """
    times = "".join(f"{{run.{name}}}" for name in _TIMES)
    lines = [
        "def shown(run):",
        f"    if whole not in f'{times}':",
        "        return run",
        "    copy = new(Run)",
        *(f"    copy.{name} = run.{name}" for name in FIELDS),
        *(f"    if run.{name}: copy.{name} = run.{name}.replace(whole, 'Z')" for name in _TIMES),
        "    return copy",
    ]
    names: dict[str, Any] = {"Run": Run, "new": Run.__new__, "whole": WHOLE_SECOND}
    exec("\n".join(lines), names)  # noqa: S102 - the text is our own
    function: Callable[[Run], Run] = names["shown"]
    return function


shown_run: Final = _generate_shown()
"""Returns a run as responses show it: timestamps of whole seconds have no fraction."""


def encode(response: object) -> bytes:
    """Encode a response of plain values, or a run. The response functions below prepare their runs themselves."""
    return _encoder.encode(shown_run(response) if isinstance(response, Run) else response)


def batch_answer(result: BatchResult) -> dict[str, Any]:
    """Return the response to either batch upload."""
    return {
        "runs": list(map(shown_run, result.runs)),
        "total": result.total,
        "created": result.created,
        "existing": result.existing,
        "failed": result.failed,
        "errors": [error for refused in result.refused for error in _errors(refused)],
        "conflicts": result.conflicts,
    }


def count_error_bytes(batch: Iterable[Candidate]) -> int:
    """Return about how many bytes the errors of a batch take in its answer, ``detail`` included."""
    total = 0
    for refused in batch:
        if isinstance(refused, RefusedRun):
            ids = len(_encoder.encode((refused.event_id, refused.run_id)))
            total += sum(ids + _ERROR_BYTES + 2 * len(str(error)) for error in refused.errors)
    return total


def page_ending(request: PageRequest, next_cursor: Cursor | None, total: int | None) -> dict[str, Any]:
    """Return what follows the runs in the response to ``GET /api/v1/runs``."""
    return {
        "total": total,
        "limit": request.limit,
        "offset": request.offset,
        "next_cursor": format_cursor(next_cursor) if next_cursor else None,
    }


def encode_lines(runs: Iterable[Run]) -> bytes:
    """Return runs as newline-delimited JSON, each with its line end."""
    return _encoder.encode_lines(list(map(shown_run, runs)))


def stream_answer(result: StreamResult) -> dict[str, Any]:
    """Return the response to a streaming upload."""
    return {
        **stream_progress(result),
        "errors": list(map(_line_error, result.errors)),
        "errors_omitted": result.errors_omitted,
        "conflicts": result.conflicts,
        "conflicts_omitted": result.conflicts_omitted,
    }


def stream_progress(result: StreamResult) -> dict[str, Any]:
    """Return the progress line that follows each chunk of a streaming upload."""
    return {
        "last_line": result.last_line,
        "total": result.total,
        "created": result.created,
        "existing": result.existing,
        "failed": result.failed,
    }


def job_answer(job: Job) -> dict[str, Any]:
    """Return a job as responses show it."""
    return {
        "job_id": job.job_id,
        "state": job.state,
        "created_at": _shown_time(job.created_at),
        "started_at": _shown_time(job.started_at),
        "finished_at": _shown_time(job.finished_at),
        "bytes_done": job.bytes_done,
        "bytes_total": job.bytes_total,
        **stream_answer(job.result),
        "detail": job.detail,
    }


def job_page_answer(page: JobPage) -> dict[str, Any]:
    """Return the response to ``GET /api/v1/jobs``."""
    next_cursor = None if page.next_cursor is None else format_number_cursor(page.next_cursor)
    return {"jobs": list(map(job_answer, page.jobs)), "next_cursor": next_cursor}


def encode_sent(run: Run) -> bytes:
    """Write a run as a client could have sent it: without what is absent or set by the server."""
    shown = shown_run(run)
    given = ((name, getattr(shown, name)) for name in FIELDS if name not in SERVER_FIELDS)
    return _encoder.encode({name: value for name, value in given if value is not None})


def refusal_page_answer(page: RefusalPage) -> dict[str, Any]:
    """Return the response to ``GET /api/v1/refusals``."""
    next_cursor = None if page.next_cursor is None else format_number_cursor(page.next_cursor)
    return {"refusals": list(map(_refusal, page.refusals)), "next_cursor": next_cursor}


def metadata_answer(metadata: Metadata, next_cursor: str | None) -> dict[str, Any]:
    """Return the response to ``GET /api/v1/metadata``."""
    return {
        "agent_names": metadata.agent_names.names,
        "job_types": metadata.job_types.names,
        "counts": {"agent_names": metadata.agent_names.total, "job_types": metadata.job_types.total},
        "next_cursor": next_cursor,
    }


def _shown_time(time: Timestamp | None) -> str | None:
    return None if time is None else shown_time(time)


def _refusal(refusal: Refusal) -> dict[str, Any]:
    return {
        "received_at": shown_time(refusal.received_at),
        "event_id": refusal.event_id,
        "run_id": refusal.run_id,
        "errors": [{"field": error.field, "error": str(error)} for error in refusal.errors],
        "body": refusal.body,
    }


def _line_error(found: LineError) -> dict[str, Any]:
    return {
        "line": found.line,
        "event_id": found.event_id,
        "run_id": found.run_id,
        "field": found.error.field,
        "error": str(found.error),
        "retryable": False,
    }


def _errors(refused: RefusedRun) -> list[dict[str, Any]]:
    return [
        {
            "index": refused.index,
            "event_id": refused.event_id,
            "run_id": refused.run_id,
            "field": error.field,
            "error": str(error),
            # A run rejected for its content is rejected again: only a changed run can be accepted.
            "retryable": False,
        }
        for error in refused.errors
    ]
