"""Jobs as rows of tables, as all stores with SQL have them.

What was found in the lines of a job stands in rows of its own, one for each chunk in which something was found, so that
a chunk never writes again what was found before it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from core.model.job import Job, JobFilter, JobId, JobPage, JobPageRequest, JobState, SpoolId
from core.model.listing import take_what_fits
from core.model.run import Timestamp
from core.model.stream import LineConflict, LineError, StreamFormat, StreamResult, count_found_bytes
from core.model.validation_error import ErrorKind, ValidationError
from core.ports.job_repository import JobRepository

JOB_COLUMNS: Final = (
    "job_id",
    "spool",
    "format",
    "coding",
    "created_at",
    "bytes_total",
    "state",
    "started_at",
    "finished_at",
    "bytes_done",
    "detail",
    "total",
    "created",
    "existing",
    "failed",
    "last_line",
    "errors_omitted",
    "conflicts_omitted",
    "found_bytes",
)
_COLUMNS: Final = ", ".join(JOB_COLUMNS)
_PLACES: Final = ", ".join("?" * len(JOB_COLUMNS))
_ROW_BYTES: Final = 512
"""What a job has about in all columns that are no texts of clients."""

_encode = msgspec.json.Encoder().encode


class _Found(msgspec.Struct, array_like=True):
    """What was found in the lines of one chunk."""

    errors: list[tuple[int, str | None, str | None, str | None, str, str]]
    conflicts: list[tuple[int, str, tuple[str, ...]]]


_found_decoder = msgspec.json.Decoder(_Found)


class SqlJobRepository(JobRepository):
    """Jobs over a connection, which a subclass knows: it says statements whose bindings stand as ``?``.

    ``number`` is SQL for the place of a new job in the order of the list, ``locking`` what keeps a row that was read
    from being changed by others.
    """

    number: str
    locking: str

    def _rows(self, sql: str, bindings: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Carry out a statement that reads."""
        raise NotImplementedError

    def _carry_out(self, sql: str, bindings: Sequence[Any]) -> None:
        """Carry out a statement that writes."""
        raise NotImplementedError

    def get(self, job_id: JobId) -> Job | None:
        if not _can_be_kept(job_id):
            return None
        rows = self._rows(f"SELECT {_COLUMNS} FROM jobs WHERE job_id = ?{self.locking}", (job_id,))
        return self._jobs(rows)[0] if rows else None

    def page(self, which: JobFilter, request: JobPageRequest) -> JobPage:
        where, bindings = _where(which, request)
        order = "ASC" if request.oldest_first else "DESC"
        # One row more than asked for tells whether there is a next page.
        sql = f"SELECT {_COLUMNS}, number FROM jobs{where} ORDER BY number {order} LIMIT ?"
        rows = self._rows(sql, (*bindings, request.limit + 1))
        taken, more = take_what_fits(rows, lambda row: _ROW_BYTES + row[-2], request.limit, request.max_text_bytes)
        return JobPage(tuple(self._jobs([row[:-1] for row in taken])), taken[-1][-1] if more else None)

    def counts(self) -> Mapping[JobState, int]:
        found = dict(self._rows("SELECT state, count(*) FROM jobs GROUP BY state", ()))
        return {state: found.get(state.value, 0) for state in JobState}

    def add(self, job: Job) -> None:
        sql = f"INSERT INTO jobs (number, {_COLUMNS}) VALUES ({self.number}, {_PLACES})"
        self._carry_out(sql, _values_of(job))
        self._add_found(job, 0)

    def replace(self, job: Job) -> None:
        ((kept_line,),) = self._rows("SELECT last_line FROM jobs WHERE job_id = ?", (job.job_id,))
        settings = ", ".join(f"{name} = ?" for name in JOB_COLUMNS[1:])
        self._carry_out(f"UPDATE jobs SET {settings} WHERE job_id = ?", (*_values_of(job)[1:], job.job_id))
        self._add_found(job, kept_line)

    def remove(self, job_id: JobId) -> None:
        if _can_be_kept(job_id):
            self._remove([job_id])

    def remove_finished(self, before: Timestamp, limit: int) -> int:
        sql = f"SELECT job_id FROM jobs WHERE finished_at < ? ORDER BY number LIMIT ?{self.locking}"
        old = [job_id for (job_id,) in self._rows(sql, (before, limit))]
        if old:
            self._remove(old)
        return len(old)

    def _remove(self, job_ids: Sequence[str]) -> None:
        for table in ("job_findings", "jobs"):
            self._carry_out(f"DELETE FROM {table} WHERE job_id IN ({', '.join('?' * len(job_ids))})", job_ids)

    def _add_found(self, job: Job, after: int) -> None:
        """Add what was found behind a line."""
        errors = [_error_row(error) for error in job.result.errors if error.line > after]
        conflicts = [(found.line, found.event_id, found.fields) for found in job.result.conflicts if found.line > after]
        if errors or conflicts:
            text = _encode(_Found(errors, conflicts)).decode()
            sql = "INSERT INTO job_findings (job_id, line, found) VALUES (?, ?, ?)"
            self._carry_out(sql, (job.job_id, job.result.last_line, text))

    def _jobs(self, rows: Sequence[tuple[Any, ...]]) -> list[Job]:
        found = self._found([row[0] for row in rows if row[-1]])
        return [_job_of(row, found[row[0]]) for row in rows]

    def _found(self, job_ids: Sequence[str]) -> Mapping[str, list[_Found]]:
        """Return what was found, chunk by chunk, in the lines of these jobs."""
        found: dict[str, list[_Found]] = defaultdict(list)
        if job_ids:
            among = ", ".join("?" * len(job_ids))
            sql = f"SELECT job_id, found FROM job_findings WHERE job_id IN ({among}) ORDER BY job_id, line"
            for job_id, text in self._rows(sql, job_ids):
                found[job_id].append(_found_decoder.decode(text))
        return found


def _where(which: JobFilter, request: JobPageRequest) -> tuple[str, list[Any]]:
    parts: list[tuple[str, Any]] = []
    if which.state is not None:
        parts.append(("state = ?", which.state.value))
    if which.spool is not None:
        parts.append(("spool = ?", which.spool))
    if request.cursor is not None:
        parts.append((f"number {'>' if request.oldest_first else '<'} ?", request.cursor))
    conditions = [condition for condition, _ in parts] + ["finished_at IS NULL"] * which.unfinished
    return (f" WHERE {' AND '.join(conditions)}" if conditions else ""), [value for _, value in parts]


def _values_of(job: Job) -> tuple[Any, ...]:
    result = job.result
    return (
        job.job_id,
        job.spool,
        job.format.value,
        job.coding,
        job.created_at,
        job.bytes_total,
        job.state.value,
        job.started_at,
        job.finished_at,
        job.bytes_done,
        job.detail,
        result.total,
        result.created,
        result.existing,
        result.failed,
        result.last_line,
        result.errors_omitted,
        result.conflicts_omitted,
        count_found_bytes(result.errors, result.conflicts) + len(result.errors) + len(result.conflicts),
    )


def _job_of(row: Sequence[Any], found: Iterable[_Found]) -> Job:
    given = dict(zip(JOB_COLUMNS, row, strict=True))
    chunks = list(found)
    result = StreamResult(
        total=given["total"],
        created=given["created"],
        existing=given["existing"],
        failed=given["failed"],
        last_line=given["last_line"],
        errors=tuple(_error_of(error) for chunk in chunks for error in chunk.errors),
        errors_omitted=given["errors_omitted"],
        conflicts=tuple(LineConflict(*conflict) for chunk in chunks for conflict in chunk.conflicts),
        conflicts_omitted=given["conflicts_omitted"],
    )
    return Job(
        job_id=JobId(given["job_id"]),
        spool=SpoolId(given["spool"]),
        format=StreamFormat(given["format"]),
        coding=given["coding"],
        created_at=given["created_at"],
        bytes_total=given["bytes_total"],
        state=JobState(given["state"]),
        started_at=given["started_at"],
        finished_at=given["finished_at"],
        bytes_done=given["bytes_done"],
        result=result,
        detail=given["detail"],
    )


def _error_row(found: LineError) -> tuple[int, str | None, str | None, str | None, str, str]:
    error = found.error
    return found.line, found.event_id, found.run_id, error.field, error.reason, error.kind.value


def _error_of(row: tuple[int, str | None, str | None, str | None, str, str]) -> LineError:
    line, event_id, run_id, field, reason, kind = row
    return LineError(line, event_id, run_id, ValidationError(field, reason, ErrorKind(kind)))


def _can_be_kept(text: str) -> bool:
    """Whether a job can have this id; some databases may not even be asked for one that none can have."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
