"""Arrays of any length as chunks."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.wire import decode
from adapters.wire.array import ArrayReader
from adapters.wire.decode import Decoder
from adapters.wire.json_text import NotJsonError
from adapters.wire.structure import Structurer
from core.errors import NotABatchError, StreamTooLargeError
from core.model.batch import RefusedRun
from core.model.limits import Limits
from core.model.run import Run, Timestamp
from core.model.stream import Chunk
from tests.contract.samples import at
from tests.streams import drawn

RUN = {"run_id": "r", "agent_name": "a", "job_type": "j", "start_time": "2026-01-31T12:00:00Z"}


def run(event_id: object, **fields: Any) -> dict[str, Any]:
    """A good run."""
    return {"event_id": event_id, **RUN, **fields}


def read(body: bytes, after: int = 0, **limits: int) -> Iterator[Chunk]:
    """Draw all chunks."""
    bounds = Limits(**limits)
    reader = ArrayReader(Decoder(Structurer(), bounds), bounds, lambda: Timestamp(at(0)), after)
    for place in range(0, len(body), 1000):
        assert list(reader.feed(body[place : place + 1000])) == []
    assert list(reader.flush()) == []
    yield from reader.finish()


def ids(chunks: Iterator[Chunk]) -> list[tuple[int, str | None]]:
    """The numbers of the elements and their ids."""
    return [
        (number, candidate.event_id)
        for chunk in chunks
        for number, candidate in zip(chunk.lines, chunk.candidates, strict=True)
    ]


@pytest.mark.parametrize("start", [b"", b" \n"])
@pytest.mark.parametrize("wrapping", ["%s", '{"runs": %s}', '{"sent_at": [1], "runs": %s, "more": {}}'])
def test_an_array_stands_alone_or_in_the_field_runs(wrapping: str, start: bytes) -> None:
    """Elements are numbered from 1."""
    body = start + (wrapping % json.dumps([run("a"), run(7), run("c"), [], None])).encode()
    (chunk,) = read(body)
    kinds = [type(candidate) for candidate in chunk.candidates]
    assert kinds == [Run, RefusedRun, Run, RefusedRun, RefusedRun]
    assert [candidate.index for candidate in chunk.candidates if isinstance(candidate, RefusedRun)] == [2, 4, 5]
    assert (list(chunk.lines), chunk.last_line) == ([1, 2, 3, 4, 5], 5)


@pytest.mark.parametrize("body", [b"[]", b'{"runs": []}'])
def test_an_empty_array_has_no_chunk(body: bytes) -> None:
    """It was read to its end all the same."""
    assert list(read(body)) == []


def test_chunks_have_at_most_a_thousand_runs() -> None:
    """However many elements there are."""
    chunks = list(read(json.dumps([run(str(number)) for number in range(2500)]).encode()))
    assert [(len(chunk.candidates), chunk.last_line) for chunk in chunks] == [(1000, 1000), (1000, 2000), (500, 2500)]


def test_chunks_have_at_most_a_mebibyte() -> None:
    """Large elements come a few at a time."""
    chunks = list(read(json.dumps([run(str(number), input_summary="x" * 400_000) for number in range(5)]).encode()))
    assert [list(chunk.lines) for chunk in chunks] == [[1, 2], [3, 4], [5]]


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4])
def test_reading_goes_on_behind_an_element(after: int) -> None:
    """What was decided before is passed over, and the numbers stay."""
    body = json.dumps([run("a"), run("b"), run("c")]).encode()
    assert ids(read(body, after)) == [(1, "a"), (2, "b"), (3, "c")][after:]


def test_what_only_the_slow_way_can_tell_is_told_of_its_element() -> None:
    """A literal that is not JSON stands in one run, and the others are taken."""
    body = json.dumps([run("a"), run("b", metrics_json={"x": float("nan")}), run("c")]).encode()
    (chunk,) = read(body)
    assert [type(candidate) for candidate in chunk.candidates] == [Run, RefusedRun, Run]


@pytest.mark.parametrize("body", [b"", b"[", b"[{}", b"[{},]", b"nope", b'[{"a": \xff}]', b'{"runs": [{}]'])
def test_what_is_not_json_is_refused_as_a_whole(body: bytes) -> None:
    """Nothing of it is taken."""
    with pytest.raises(NotJsonError):
        list(read(body))


@pytest.mark.parametrize("body", [b"7", b"{}", b'{"runs": {}}', b'"[]"', b"null"])
def test_other_json_is_refused_as_a_whole(body: bytes) -> None:
    """The message says what a stream is."""
    with pytest.raises(NotABatchError, match=r"array of runs|runs is required"):
        list(read(body))


def test_an_array_with_a_text_that_is_not_utf8_is_refused_as_a_whole() -> None:
    """Since an array is read to its end before anything is taken, nothing of it is."""
    body = json.dumps([run("a"), run("b", item_name="here"), run("c")]).encode().replace(b"here", b"\xff")
    chunks, error = drawn(read(body))
    assert (ids(iter(chunks)), type(error)) == ([], NotJsonError)


def test_an_array_of_too_many_bytes_is_refused() -> None:
    """The message says what to do instead."""
    body = json.dumps([run("a"), run("b")]).encode()
    assert len(ids(read(body, max_body_bytes=len(body)))) == 2
    with pytest.raises(StreamTooLargeError, match=r"max_body_bytes.*application/x-ndjson"):
        list(read(body, max_body_bytes=len(body) - 1))


def test_an_array_of_too_many_values_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """To remember where each begins would take much more than the body itself."""
    monkeypatch.setattr(decode, "MAX_ELEMENTS", 5)
    with pytest.raises(StreamTooLargeError, match="more than 5 JSON values"):
        list(read(b"[0,0,0,0,0,0,0]"))


def test_what_takes_the_slow_way_has_fewer_values() -> None:
    """For there the whole body becomes values at once."""
    body = b"[NaN" + b",0" * 600_000 + b"]"
    with pytest.raises(StreamTooLargeError, match="more than 1000 JSON values"):
        list(read(body, max_body_values=1000))
