"""Whether the values of a stored run are what the rules of its fields made of them."""

from typing import Any

import attrs
import pytest

from adapters.sql_rows import values_of
from adapters.store_check import MAX_PROBLEMS, StoreReport, problems_of_run
from core.model.run import FIELDS
from tests.contract.samples import sample_run

FULL = sample_run(
    status="success",
    parent_run_id="",
    end_time="2026-01-31T12:00:00.000001Z",
    duration_ms=2**63 - 1,
    output_summary="é" * 1000,
    metrics_json='{"n":1e400,"zero":"\\u0000"}'.replace("1e400", str(2**70)),
    commit_hash="abcdef1",
    commit_source="ci",
)


def row_with(**fields: Any) -> list[Any]:
    """The values of a stored run, with some replaced by others."""
    return [fields.get(name, value) for name, value in zip(FIELDS, values_of(FULL), strict=True)]


def test_what_was_stored_has_no_problem() -> None:
    """A run with every kind of field, and one with the required ones only."""
    assert problems_of_run(row_with()) == []
    assert problems_of_run(list(values_of(sample_run()))) == []


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("event_id", "", "event_id must have 1 to 255"),
        ("agent_name", None, "agent_name is missing"),
        ("agent_name", "", "agent_name must not be empty"),
        ("start_time", "2026-01-31T12:00:00Z", "start_time is not in the form in which it is stored"),
        ("start_time", "2026-02-31T12:00:00.000000Z", "start_time is not an ISO 8601"),
        ("status", "failed", "status is not in the form"),
        ("status", "odd", "status must be one of"),
        ("duration_ms", -1, "duration_ms must be from 0"),
        ("input_summary", "a\0b", "input_summary contains a NUL"),
        ("metrics_json", "[]", "metrics_json is not the text of a JSON object"),
        ("context_json", '{"a":', "context_json is not the text of a JSON object"),
        ("extra", "[" * 100_000, "extra is not the text of a JSON object"),
        ("commit_hash", "xyz", "commit_hash must be 7 to 40"),
    ],
)
def test_a_value_that_was_never_stored_is_named(field: str, value: object, said: str) -> None:
    """The problem begins with the name of the field."""
    (problem,) = problems_of_run(row_with(**{field: value}))
    assert problem.startswith(said)


def test_a_report_has_room_for_some_problems() -> None:
    """What comes when it is full is not even asked for."""
    many = (str(number) for number in range(MAX_PROBLEMS + 10))
    report = StoreReport(problems=("first",)).with_problems(many)
    assert len(report.problems) == MAX_PROBLEMS
    assert report.is_full
    assert not report.healthy
    assert next(many) == str(MAX_PROBLEMS - 1)
    assert attrs.evolve(report, problems=()).healthy
