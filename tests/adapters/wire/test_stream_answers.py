"""What streams and jobs answer, and how the list of jobs and an export are asked for."""

import json
from typing import Any

import pytest

from adapters.wire.encode import encode, job_answer, job_page_answer, stream_answer, stream_progress
from adapters.wire.query import ExportFormat, format_number_cursor, parse_export_query, parse_jobs_query
from adapters.wire.structure import Structurer
from core.errors import InvalidQueryError
from core.model.job import Job, JobFilter, JobId, JobPage, JobPageRequest, JobState, SpoolId
from core.model.limits import Limits
from core.model.listing import RunFilter
from core.model.run import Status, Timestamp
from core.model.stream import LineConflict, LineError, StreamFormat, StreamResult
from core.model.validation_error import ValidationError
from tests.contract.samples import at

RESULT = StreamResult(
    total=10000,
    created=9990,
    existing=7,
    failed=3,
    last_line=10002,
    errors=(LineError(17, None, None, ValidationError(None, "is not JSON")),),
    errors_omitted=2,
    conflicts=(LineConflict(4711, "e", ("agent_name",)),),
    conflicts_omitted=1,
)
ANSWER = {
    "total": 10000,
    "created": 9990,
    "existing": 7,
    "failed": 3,
    "last_line": 10002,
    "errors": [
        {"line": 17, "event_id": None, "run_id": None, "field": None, "error": "it is not JSON", "retryable": False}
    ],
    "errors_omitted": 2,
    "conflicts": [{"line": 4711, "event_id": "e", "fields": ["agent_name"]}],
    "conflicts_omitted": 1,
}
JOB = Job(
    job_id=JobId("j"),
    spool=SpoolId("not shown"),
    format=StreamFormat.NDJSON,
    coding="gzip",
    created_at=Timestamp(at(0)),
    started_at=Timestamp(at(1).replace("000000", "500000")),
    bytes_total=9,
    bytes_done=5,
    state=JobState.RUNNING,
    result=RESULT,
)


def shown(answer: object) -> Any:
    """The answer as a client reads it."""
    return json.loads(encode(answer))


def test_a_stream_is_answered_as_the_contract_says() -> None:
    """Each field, and of the progress those that grow."""
    assert shown(stream_answer(RESULT)) == ANSWER
    counts = ("last_line", "total", "created", "existing", "failed")
    assert shown(stream_progress(RESULT)) == {name: ANSWER[name] for name in counts}


def test_a_job_is_answered_as_the_contract_says() -> None:
    """Its times as those of runs, and nothing of where its body is."""
    assert shown(job_answer(JOB)) == {
        "job_id": "j",
        "state": "running",
        "created_at": "2026-01-31T12:00:00Z",
        "started_at": "2026-01-31T12:00:01.500000Z",
        "finished_at": None,
        "bytes_done": 5,
        "bytes_total": 9,
        **ANSWER,
        "detail": None,
    }


def test_a_page_of_jobs_leads_to_the_next() -> None:
    """Its cursor is taken back as it was given."""
    page = shown(job_page_answer(JobPage((JOB,), 7)))
    assert [job["job_id"] for job in page["jobs"]] == ["j"]
    query = [("state", "running"), ("limit", "3"), ("cursor", page["next_cursor"])]
    assert parse_jobs_query(query, Limits()) == (JobFilter(state=JobState.RUNNING), JobPageRequest(limit=3, cursor=7))
    assert shown(job_page_answer(JobPage((), None))) == {"jobs": [], "next_cursor": None}
    assert parse_jobs_query([("cursor", "")], Limits()) == (JobFilter(), JobPageRequest())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", "done"),
        ("state", ""),
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "x"),
        ("cursor", "x"),
        ("cursor", format_number_cursor(-1)),
        ("cursor", format_number_cursor(2**63)),
        ("offset", "1"),
    ],
)
def test_what_cannot_be_asked_of_jobs_is_named(name: str, value: str) -> None:
    """Unknown parameters and values that break their rules, and what is given twice."""
    for query in ([(name, value)], [(name, "1"), (name, "1")]):
        with pytest.raises(InvalidQueryError) as caught:
            parse_jobs_query(query, Limits())
        assert [error.field for error in caught.value.errors] == [name]


def test_an_export_is_asked_for_as_the_list_is() -> None:
    """With a format, and without pages."""
    structurer = Structurer()
    assert parse_export_query([], structurer) == (RunFilter(), ExportFormat.NDJSON)
    query = [("format", "csv"), ("status", "failed")]
    assert parse_export_query(query, structurer) == (RunFilter(status=Status.FAILURE), ExportFormat.CSV)
    for name, value in (("format", "xml"), ("limit", "1"), ("cursor", "")):
        with pytest.raises(InvalidQueryError) as caught:
            parse_export_query([(name, value)], structurer)
        assert [error.field for error in caught.value.errors] == [name]
