"""In-process queries of every store: the same rules as over HTTP, and the same results and errors."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import attrs
import pytest

from adapters.system_clock import SystemClock
from core.errors import InvalidQueryError, RunNotFoundError
from core.model.limits import Limits
from core.model.listing import Cursor, PageRequest, RunFilter
from core.model.run import Status
from core.ports.store import Store
from entrypoints.application import Application
from entrypoints.embedded import RunStore
from tests.contract.samples import at, keep, sample_run


class Word(StrEnum):
    """A subclass of ``str``."""

    FAILED = "failed"
    KEY = "event-1"
    NAME = "launch-1"


class Liar:
    """Claims to be a ``str``."""

    @property
    def __class__(self) -> type:
        return str


@pytest.fixture
def runs(store: Store) -> Iterator[RunStore]:
    """Yield the in-process API on each kind of store, with three runs."""
    keep(store, *(sample_run(f"event-{number}", start_time=at(number), product="p") for number in range(1, 4)))
    application = Application.over(store, SystemClock(), Limits())
    yield RunStore(application)
    application.writer.close()


def found(runs: RunStore, request: PageRequest | None = None, **which: Any) -> list[str]:
    """Return the keys of a page."""
    return [run.event_id for run in runs.page(RunFilter(**which), request).runs]


def bad_fields(runs: RunStore, which: Any = None, request: Any = None) -> list[str | None]:
    """Return the invalid fields of a query."""
    with pytest.raises(InvalidQueryError) as refused:
        runs.page(which, request)
    return [error.field for error in refused.value.errors]


def test_times_and_words_of_a_filter_are_made_what_is_kept(runs: RunStore) -> None:
    """Times in any form and offset, status aliases and subclasses of ``str`` match by value."""
    assert found(runs, start_time_from="2026-01-31T13:00:02+01:00") == ["event-3", "event-2"]
    assert found(runs, start_time_to="2026-01-31 12:00:02Z") == ["event-2", "event-1"]
    assert found(runs, event_id=Word.KEY, run_id=Word.NAME, status="running") == ["event-1"]
    runs.update("event-2", {"status": "failed"})
    assert found(runs, status=Word.FAILED) == found(runs, status="failed") == ["event-2"]


@pytest.mark.parametrize("field", attrs.fields_dict(RunFilter))
@pytest.mark.parametrize("value", [1, 1.0, b"a", (), "a\0", "\ud800", "x" * (2**19 + 1), 2**70])
def test_filter_that_breaks_a_rule_is_named(runs: RunStore, field: str, value: Any) -> None:
    """A value that a field cannot have is invalid as its filter."""
    assert bad_fields(runs, RunFilter(**{field: value})) == [field]


@pytest.mark.parametrize("field", [name for name in attrs.fields_dict(RunFilter) if name != "roots"])
def test_truth_value_is_no_text(runs: RunStore, field: str) -> None:
    """A truth value is invalid as the filter of any other field."""
    assert bad_fields(runs, RunFilter(**{field: True})) == [field]


def test_statuses_may_be_given_in_any_collection(runs: RunStore) -> None:
    """Several statuses are a collection of names or names with commas; one invalid name makes the field invalid."""
    runs.update("event-2", {"status": "failed"})
    for statuses in ("failed,running", ["failed", Status.RUNNING], frozenset({Status.FAILURE, Status.RUNNING})):
        assert found(runs, status=statuses) == ["event-3", "event-2", "event-1"]
    assert found(runs, status=Status.FAILURE) == found(runs, status=("failure",)) == ["event-2"]
    assert bad_fields(runs, RunFilter(status="failed,lost")) == ["status"]  # type: ignore[arg-type]
    assert bad_fields(runs, RunFilter(status="failed,")) == ["status"]  # type: ignore[arg-type]


def test_value_that_says_it_is_another_is_named(runs: RunStore) -> None:
    """The actual class of a value counts."""
    for name in attrs.fields_dict(RunFilter):
        assert bad_fields(runs, RunFilter(**{name: Liar()})) == [name]  # type: ignore[arg-type]
    for name in attrs.fields_dict(PageRequest):
        assert bad_fields(runs, request=PageRequest(**{name: Liar()})) == [name]  # type: ignore[arg-type]


def test_every_part_of_a_filter_is_named(runs: RunStore) -> None:
    """One error names every invalid field."""
    assert bad_fields(runs, RunFilter(status="lost", start_time_from="now", product="\0")) == [  # type: ignore[arg-type]
        *("status", "product", "start_time_from"),
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("limit", value) for value in (0, -1, 1001, True, 1.0, "1", None, 2**70)),
        *(("offset", value) for value in (-1, 2**63, True, 0.0, "0", None)),
        *(("counted", value) for value in (1, None, "yes")),
        *(("oldest_first", value) for value in (0, None, "no")),
        *((name, value) for name in ("max_examined", "max_seconds") for value in (0, -1, True, 1.0, "1", 2**63)),
        *((name, value) for name in ("cursor", "last_examined") for value in ("abc", 1, (at(0), 1))),
        *(
            ("cursor", Cursor(*place))  # type: ignore[arg-type]
            for place in (("now", 1), (at(0), -1), (at(0), 2**63), (at(0), "1"), (1, 1), (at(0), True), ("\ud800", 1))
        ),
    ],
)
def test_request_that_breaks_a_rule_is_named(runs: RunStore, field: str, value: Any) -> None:
    """A part of a request that is out of range or of the wrong type is named."""
    assert bad_fields(runs, request=PageRequest(**{field: value})) == [field]


def test_every_part_of_a_request_is_named(runs: RunStore) -> None:
    """One error names every invalid part, and a cursor cannot be combined with an offset."""
    assert bad_fields(runs, request=PageRequest(limit=0, offset=-1)) == ["limit", "offset"]
    assert bad_fields(runs, request=PageRequest(offset=1, cursor=Cursor(at(2), 1))) == ["offset"]  # type: ignore[arg-type]


def test_cursor_may_be_written_in_any_form(runs: RunStore) -> None:
    """The instant in a cursor may be written in any form."""
    cursor = Cursor("2026-01-31T13:00:03+01:00", 0)  # type: ignore[arg-type]
    assert found(runs, PageRequest(cursor=cursor, counted=False)) == ["event-2", "event-1"]
    page = runs.page(request=PageRequest(limit=1000, oldest_first=True))
    assert ([run.event_id for run in page.runs], page.total) == (["event-1", "event-2", "event-3"], 3)


@pytest.mark.parametrize("offset", [2**63 - 1, 2**63 - 2, 2**63 - 1001, 2**62])
@pytest.mark.parametrize("which", [{}, {"run_id": "launch-1"}, {"event_id": "event-1"}, {"product": "p"}])
def test_nothing_stands_behind_the_highest_offsets(runs: RunStore, which: dict[str, Any], offset: int) -> None:
    """However the runs are looked for, an offset that is allowed leads to an empty page."""
    for limit in (1, 1000):
        for oldest_first in (False, True):
            page = runs.page(RunFilter(**which), PageRequest(limit=limit, offset=offset, oldest_first=oldest_first))
            assert (page.runs, page.next_cursor) == ((), None)


NOBODY: list[tuple[Any, str]] = [
    *((text, text) for text in ("nobody", "", "a\0b", "\ud800", "x" * 256, "x" * 2**20)),
    *((1, "the integer 1"), (None, "null"), (True, "true"), (b"event-1", "a Python bytes"), ([], "a list")),
    *(({}, "an object"), (("event-1",), "a Python tuple"), (Liar(), "a Python Liar"), (float("nan"), "the number nan")),
]


@pytest.mark.parametrize("number", range(len(NOBODY)))
def test_id_that_no_run_has_is_not_found(runs: RunStore, number: int) -> None:
    """The error for a missing run is the same for any key."""
    asked, shown = NOBODY[number]
    commit = {"commit_hash": "abcdef0", "commit_source": "ci"}
    for ask in (
        runs.get,
        lambda key: runs.update(key, {"status": "failed"}),
        lambda key: runs.associate_commit(key, commit),
    ):
        with pytest.raises(RunNotFoundError) as missed:
            ask(asked)
        assert (str(missed.value), missed.value.key) == (f"Run not found: {shown}", shown)


def test_id_of_another_class_of_text_is_found(runs: RunStore) -> None:
    """A key of a subclass of ``str`` matches by value."""
    assert runs.get(Word.NAME).event_id == "event-3"
    assert runs.update(Word.KEY, {"duration_ms": 5}).duration_ms == 5
