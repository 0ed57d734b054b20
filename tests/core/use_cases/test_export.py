"""Reading all runs, oldest first, and that a stream of them makes the same store."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory import MemoryStore
from adapters.wire.csv import csv_header, csv_rows
from adapters.wire.decode import Decoder
from adapters.wire.encode import encode_lines
from adapters.wire.ndjson import NdjsonReader
from adapters.wire.structure import Structurer
from core.model.limits import Limits
from core.model.listing import RunFilter
from core.model.run import FIELDS, SERVER_FIELDS, Run, Text, Timestamp
from core.model.stream import StreamResult
from core.ports.store import Store
from core.use_cases import export
from core.use_cases.export import export_runs
from core.use_cases.stream import take_chunk
from tests.contract.samples import at, keep, read, sample_run
from tests.properties.strategies import kept_runs, sent_runs

LATER = Timestamp("2030-01-01T00:00:00.000000Z")


def exported(store: Store, which: RunFilter | None = None) -> list[Run]:
    """All runs of an export."""
    pages = export_runs(which or RunFilter(), lambda query: read(store, query))
    return [run for page in pages for run in page]


def as_lines(store: Store) -> bytes:
    """An export as newline-delimited JSON."""
    return encode_lines(exported(store))


def stream(store: Store, content: bytes, step: int) -> StreamResult:
    """Take a stream that comes in pieces."""
    limits = Limits()
    reader = NdjsonReader(Decoder(Structurer(), limits), limits, lambda: LATER)
    result = StreamResult()
    chunks = [chunk for start in range(0, len(content), step) for chunk in reader.feed(content[start : start + step])]
    for chunk in [*chunks, *reader.finish()]:
        with store.unit_of_work() as work:
            result = take_chunk(result, chunk, work)
            work.commit()
    return result


def received_later(runs: Sequence[Run]) -> list[Run]:
    """The same runs, but for the times of the server."""
    return [attrs.evolve(run, created_at=LATER, updated_at=LATER) for run in runs]


def test_an_export_is_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """By start, and among equal starts by arrival, over any number of pages."""
    monkeypatch.setattr(export, "PAGE_RUNS", 2)
    store = MemoryStore()
    keep(store, *(sample_run(str(number), start_time=at(number % 3)) for number in range(7)))
    assert [run.event_id for run in exported(store)] == ["0", "3", "6", "1", "4", "2", "5"]


def test_an_export_takes_the_filters_of_the_list() -> None:
    """And of an empty list it has nothing."""
    store = MemoryStore()
    assert exported(store) == []
    keep(store, sample_run("a", product="x"), sample_run("b", product="y"))
    assert [run.event_id for run in exported(store, RunFilter(product=Text("y")))] == ["b"]


def test_an_export_of_a_search_is_read_in_short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page examines a limited number of runs, and one without a match does not end the export."""
    monkeypatch.setattr(export, "EXAMINED_RUNS", 2)
    store = MemoryStore()
    keep(store, *(sample_run(str(number), item_name="Found" if number == 5 else None) for number in range(7)))
    pages = list(export_runs(RunFilter(q=Text("found")), lambda query: read(store, query)))
    assert [[run.event_id for run in page] for page in pages] == [[], [], ["5"], []]


def test_a_page_of_large_runs_is_short() -> None:
    """No more than a part is in memory at a time."""
    store = MemoryStore()
    keep(store, *(sample_run(str(number), input_summary="x" * 500_000) for number in range(5)))
    pages = list(export_runs(RunFilter(), lambda query: read(store, query)))
    assert [len(page) for page in pages] == [2, 2, 1]


def test_each_page_is_read_by_itself() -> None:
    """What is added meanwhile is there if its place is ahead, and nothing comes twice."""
    store = MemoryStore()
    keep(store, *(sample_run(str(number), start_time=at(number), input_summary="x" * 600_000) for number in range(3)))
    pages = export_runs(RunFilter(), lambda query: read(store, query))
    found = [run.event_id for run in next(pages)]
    keep(store, sample_run("ahead", start_time=at(1)), sample_run("behind", start_time=at(0)))
    found += [run.event_id for page in pages for run in page]
    assert found == ["0", "behind", "1", "ahead", "2"]


@settings(max_examples=50)
@given(sent=st.lists(sent_runs(), max_size=5, unique_by=lambda run: str(run["event_id"])), step=st.integers(9, 3000))
def test_a_stream_of_an_export_makes_the_same_store(sent: list[dict[str, Any]], step: int) -> None:
    """Every field comes back but the times of the server, and in the same order."""
    first, second, third = MemoryStore(), MemoryStore(), MemoryStore()
    runs = [run for run in (Structurer().run(item, 0, Timestamp(at(0))) for item in sent) if isinstance(run, Run)]
    assert len(runs) == len(sent)
    keep(first, *runs)
    result = stream(second, as_lines(first), step)
    assert (result.created, result.failed, result.last_line) == (len(runs), 0, len(runs))
    assert exported(second) == received_later(exported(first))
    stream(third, as_lines(second), step)
    assert as_lines(third) == as_lines(second)
    again = stream(first, as_lines(second), step)
    assert (again.existing, again.conflicts) == (len(runs), ())


@given(run=kept_runs())
def test_a_csv_has_every_field_and_no_formula(run: Run) -> None:
    """Read as CSV, each cell is the field, with an apostrophe where a spreadsheet would evaluate it."""
    content = csv_header() + csv_rows([run, run])
    header, first, second = csv.reader(io.StringIO(content.decode(), newline=""))
    assert header == list(FIELDS)
    assert first == second
    for name, cell in zip(FIELDS, first, strict=True):
        value = getattr(run, name)
        text = "" if value is None else str(value)
        assert cell == (f"'{text}" if text.startswith(tuple("=+-@\t\r\n＝＋－＠")) else text)  # noqa: RUF001


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1"])  # noqa: RUF001
def test_a_formula_is_a_text(text: str) -> None:
    """Where it stands in a cell of its own; in the middle of a text it does no harm."""
    rows = csv_rows([sample_run(text, item_name=f"a {text}", duration_ms=5)]).decode()
    (row,) = csv.reader(io.StringIO(rows, newline=""))
    assert row[FIELDS.index("event_id")] == f"'{text}"
    assert row[FIELDS.index("item_name")] == f"a {text}"
    assert row[FIELDS.index("duration_ms")] == "5"


def test_no_run_is_no_row() -> None:
    """The header stands alone, and lines end with CRLF."""
    assert (csv_header()[-15:], csv_rows([])) == (b"mit_timestamp,extra\r\n"[-15:], b"")
    assert set(SERVER_FIELDS) < set(csv_header().decode().strip().split(","))
