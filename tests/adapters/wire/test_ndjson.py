"""Lines however they are cut into pieces, and the chunks that they become."""

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.wire.decode import Decoder
from adapters.wire.json_text import NotUtf8Error
from adapters.wire.ndjson import PIECE_BYTES, LineSplitter, NdjsonReader
from adapters.wire.structure import Structurer
from core.model.batch import MAX_SENT_BYTES, RefusedRun, Sent
from core.model.limits import Limits
from core.model.run import FIELDS, Run, Timestamp
from core.model.stream import CHUNK_BYTES, Chunk
from tests.contract.samples import at
from tests.streams import drawn

LIMITS = Limits(max_run_bytes=300)
DECODER = Decoder(Structurer(), LIMITS)
RUN = {"run_id": "r", "agent_name": "a", "job_type": "j", "start_time": "2026-01-31T12:00:00Z"}


def line(event_id: str, **fields: Any) -> bytes:
    """A good line."""
    return json.dumps({"event_id": event_id, **RUN, **fields}).encode()


def reader(after: int = 0, limits: Limits = LIMITS) -> NdjsonReader:
    """Read a stream."""
    return NdjsonReader(Decoder(Structurer(), limits), limits, lambda: Timestamp(at(0)), after)


def read(pieces: Iterable[bytes], after: int = 0, limits: Limits = LIMITS) -> Iterator[Chunk]:
    """Draw all chunks."""
    stream = reader(after, limits)
    for piece in pieces:
        yield from stream.feed(piece)
    yield from stream.finish()


def shown(chunks: Iterable[Chunk]) -> list[tuple[int, str]]:
    """The lines with a candidate, and what it is."""
    return [
        (number, str(candidate.errors[0]) if isinstance(candidate, RefusedRun) else candidate.event_id)
        for chunk in chunks
        for number, candidate in zip(chunk.lines, chunk.candidates, strict=True)
    ]


def pieces_of(content: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The content, cut at these places."""
    places = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    return [content[begin:end] for begin, end in pairwise(places)]


def cuts() -> st.SearchStrategy[list[int]]:
    """Places to cut at."""
    return st.lists(st.integers(0, 1500), max_size=12)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_end_with_lf_or_crlf(end: bytes, *, last: bool) -> None:
    """The last end is optional, and each line has its number."""
    content = end.join([line("a"), b"", line("b"), b" \t", line("c")]) + end * last
    assert shown(read([content])) == [(1, "a"), (3, "b"), (5, "c")]
    assert list(read([content]))[-1].last_line == 5


def test_an_empty_stream_has_no_chunk() -> None:
    """Nor have pieces without a byte."""
    assert list(read([])) == list(read([b"", b""])) == []


def test_blank_lines_count() -> None:
    """A stream of nothing else has lines, and no candidate."""
    (chunk,) = read([b"\n\r\n  \n"])
    assert (chunk.candidates, chunk.lines, chunk.last_line) == ([], [], 3)


def test_a_line_that_is_not_json_is_refused_alone() -> None:
    """It has no field, and the others are taken."""
    found = shown(read([b"\n".join([line("a"), b"{oops", b"[]", b"7", b"\xef\xbb\xbf{}", line("b")])]))
    assert [number for number, _ in found] == [1, 2, 3, 4, 5, 6]
    assert found[1][1].startswith("it is not JSON: Expecting property name")
    assert found[2][1] == "it must be a JSON object, not a list"
    (chunk,) = read([b"{oops"])
    assert isinstance(refused := chunk.candidates[0], RefusedRun)
    assert (refused.index, refused.event_id, refused.errors[0].field) == (1, None, None)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
@pytest.mark.parametrize("size", [299, 300, 301, 302, 303, 5000])
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_a_line_of_too_many_bytes_is_refused_alone(size: int, end: bytes, step: int) -> None:
    """The limit is that of a run, its line end does not count, and the cuts make no difference."""
    padded = line("b", item_name="x" * (size - len(line("b", item_name=""))))
    content = line("a") + b"\n" + padded + end
    too_long = f"it has {size} bytes; the maximum is 300 (max_run_bytes)"
    pieces = [content[begin : begin + step] for begin in range(0, len(content), step)]
    assert shown(read(pieces)) == [(1, "a"), (2, "b" if size <= 300 else too_long)]


def test_a_line_that_is_too_long_is_not_kept() -> None:
    """Of a line without end no more is in memory than a line may have, a piece, and its beginning."""
    splitter = LineSplitter(1000)
    for _ in range(1000):
        assert splitter.feed(b"x" * 1000) == []
        assert sum(map(len, (*splitter._parts, splitter._beginning))) <= 2000  # noqa: SLF001 - what is kept
    assert splitter.feed(b"\r\n{}\n") == [Sent(b"x" * 2000, 1_000_000), b"{}"]
    assert splitter.feed(b"y" * 200_000 + b"\n") == [Sent(b"y" * MAX_SENT_BYTES, 200_000)]


@given(
    lines=st.lists(
        st.sampled_from([b"", b" ", line("a"), line("b"), b"{", b"null", b"x" * 301, b"\r", b'{"event_id"']),
        max_size=12,
    ),
    end=st.sampled_from([b"\n", b"\r\n"]),
    places=cuts(),
)
def test_cuts_make_no_difference(lines: list[bytes], end: bytes, places: list[int]) -> None:
    """However the bytes come, the candidates and the numbers of their lines are the same."""
    content = end.join(lines)
    (whole, pieces) = ([content], pieces_of(content, places))
    assert shown(read(whole)) == shown(read(pieces))
    assert [chunk.last_line for chunk in read(whole)] == [chunk.last_line for chunk in read(pieces)]


@given(lines=st.lists(st.sampled_from([b"", line("a"), b"{"]), max_size=9), after=st.integers(0, 9), places=cuts())
def test_reading_goes_on_behind_a_line(lines: list[bytes], after: int, places: list[int]) -> None:
    """What was decided before is passed over, and the numbers stay."""
    content = b"\n".join(lines)
    expected = [found for found in shown(read([content])) if found[0] > after]
    assert shown(read(pieces_of(content, places), after)) == expected


@pytest.mark.parametrize("bad", [b"\xff", b'{"event_id": "\xff"}', b'{"a": "\xc3"}', b"\xc3\xa4\xc3"])
def test_bytes_that_are_not_utf8_end_the_stream(bad: bytes) -> None:
    """All complete lines before are in chunks, whatever the cuts, and the message says which line it is."""
    content = b"\n".join([line("a"), b"", line("b"), bad, line("c")])
    for step in (1, 5, 1000):
        chunks, error = drawn(read(content[begin : begin + step] for begin in range(0, len(content), step)))
        assert (shown(chunks), chunks[-1].last_line) == ([(1, "a"), (3, "b")], 3)
        assert isinstance(error, NotUtf8Error)
        assert (error.line, str(error)[:21]) == (4, "line 4 is not UTF-8: ")


@pytest.mark.parametrize("field", FIELDS)
def test_no_field_takes_what_is_not_utf8(field: str) -> None:
    """The quick way of decoding finds it wherever it stands, the fields that are ignored included."""
    run = {name: f"<{name}>" for name in FIELDS} | RUN | {"event_id": "a"}
    for value in (b'"\xff"', b'{"\xff": 1}', b'{"a": "\xff"}', b'["\xff"]'):
        raw = json.dumps({name: run[name] for name in {*RUN, "event_id", field}} | {field: "here"}).encode()
        with pytest.raises(NotUtf8Error):
            DECODER.line(raw.replace(b'"here"', value), 1, Timestamp(at(0)))


def test_chunks_have_at_most_a_thousand_runs() -> None:
    """And none is empty."""
    chunks = list(read([b"\n".join(line(str(number)) for number in range(2500))]))
    assert [len(chunk.candidates) for chunk in chunks] == [1000, 1000, 500]
    assert [chunk.last_line for chunk in chunks] == [1000, 2000, 2500]


def test_chunks_have_at_most_a_mebibyte() -> None:
    """A line that is longer by itself is a chunk of its own."""
    sizes = [400_000, 400_000, 400_000, 1_500_000, 10, 1_048_000]
    lines = [line("", input_summary="x" * size) for size in sizes]
    chunks = list(read([b"\n".join(lines)], limits=attrs.evolve(LIMITS, max_run_bytes=2**21)))
    assert [list(chunk.lines) for chunk in chunks] == [[1, 2], [3], [4], [5, 6]] or [
        list(chunk.lines) for chunk in chunks
    ] == [[1, 2], [3], [4], [5], [6]]
    for chunk in chunks:
        assert len(chunk.lines) == 1 or sum(len(lines[number - 1]) for number in chunk.lines) <= CHUNK_BYTES


def test_a_large_piece_of_line_ends_is_taken_by_parts() -> None:
    """Every so many blank lines there is a chunk that says how far it got."""
    chunks = read([b"\n" * (3 * CHUNK_BYTES)])
    assert [chunk.last_line for chunk in chunks] == [CHUNK_BYTES, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES]
    assert PIECE_BYTES < CHUNK_BYTES


@pytest.mark.parametrize("after", [0, 1, 2, 3, 5, 6])
def test_blank_pieces_count_as_their_lines_do(after: int) -> None:
    """Wherever reading goes on, and whatever blanks the pieces are cut into."""
    chunks = list(read([line("a") + b"\n", b"\r\n \n", b"\t", b"\n\n  ", line("b"), b"\n \n\n"], after=after))
    expected = [found for found in [(1, "a"), (6, "b")] if found[0] > after]
    assert shown(chunks) == expected
    assert chunks[-1].last_line == 8


def test_what_is_complete_can_be_drawn_at_any_time() -> None:
    """A line that is not complete stays, and nothing is drawn twice."""
    stream = reader()
    assert list(stream.feed(line("a") + b"\n" + line("b")[:9])) == []
    assert shown(stream.flush()) == [(1, "a")]
    assert list(stream.flush()) == []
    assert list(stream.feed(line("b")[9:])) == []
    assert shown(stream.finish()) == [(2, "b")]


def test_a_line_with_too_many_values_is_refused_alone() -> None:
    """What would become very large in memory is not decoded."""
    limits = Limits(max_body_values=1000)
    chunks = read([line("a") + b"\n" + b'{"a":[' + b"1," * 600_000 + b"1]}"], limits=limits)
    assert shown(chunks)[-1] == (2, "it has more than 1000 JSON values (max_body_values)")


def test_candidates_are_those_of_a_batch() -> None:
    """A line becomes the run that it becomes in a batch."""
    (chunk,) = read([line("a", metrics_json={"b": 1, "a": 2}, shard=7)])
    (batch,) = DECODER.batch(b'{"runs":[' + line("a", metrics_json={"b": 1, "a": 2}, shard=7) + b"]}", Timestamp(at(0)))
    assert isinstance(batch, Run)
    assert chunk.candidates == [batch]
