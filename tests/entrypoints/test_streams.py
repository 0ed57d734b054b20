"""Streams as they are sent: in any coding, cut anywhere, damaged anywhere."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.content_coding import CODINGS, encode
from adapters.wire.decode import Decoder
from adapters.wire.structure import Structurer
from core.errors import StreamTooLargeError
from core.model.limits import Limits
from core.model.run import Timestamp
from core.model.stream import Chunk, StreamFormat
from entrypoints.streams import StreamDecoder, UndecodableStreamError
from tests.contract.samples import at
from tests.jobs import lines, sent_run
from tests.streams import drawn

LIMITS = Limits(max_body_members=3)
STREAMS = StreamDecoder(Decoder(Structurer(), LIMITS), LIMITS, lambda: Timestamp(at(0)))
RUNS = [sent_run(str(number)) for number in range(5)]
BODIES = {
    StreamFormat.NDJSON: lines(RUNS),
    StreamFormat.JSON: json.dumps(RUNS).encode(),
}

every_coding = pytest.mark.parametrize("coding", CODINGS)


def read(body: bytes, step: int, kind: StreamFormat, coding: str | None, after: int = 0) -> Iterator[Chunk]:
    """Draw all chunks of a body that comes in pieces."""
    stream = STREAMS.begin(kind, coding, after)
    for start in range(0, len(body), step):
        yield from stream.feed(body[start : start + step])
    yield from stream.finish()


def numbers(chunks: Iterator[Chunk] | list[Chunk]) -> list[int]:
    """The lines that have candidates."""
    return [line for chunk in chunks for line in chunk.lines]


@given(
    kind=st.sampled_from(StreamFormat),
    coding=st.sampled_from([None, *CODINGS]),
    step=st.integers(1, 1000),
    after=st.integers(0, 5),
)
def test_every_format_is_read_in_every_coding(kind: StreamFormat, coding: str | None, step: int, after: int) -> None:
    """However it is cut, and from any line on."""
    body = BODIES[kind] if coding is None else encode(coding, BODIES[kind])
    assert numbers(read(body, step, kind, coding, after)) == list(range(after + 1, 6))


@every_coding
@pytest.mark.parametrize("step", [1, 10_000])
def test_complete_lines_are_taken_before_the_damage_is_told(coding: str, step: int) -> None:
    """Whether the content breaks off or goes on as something else."""
    whole = encode(coding, BODIES[StreamFormat.NDJSON])
    chunks, error = drawn(read(whole + b"junk junk junk", step, StreamFormat.NDJSON, coding))
    assert numbers(chunks) == [1, 2, 3, 4, 5]
    assert isinstance(error, UndecodableStreamError)
    assert str(error).startswith("the body cannot be decompressed: ")
    half = whole + encode(coding, lines([sent_run("x")]))[:-1]
    chunks, error = drawn(read(half, step, StreamFormat.NDJSON, coding))
    assert numbers(chunks)[:5] == [1, 2, 3, 4, 5]
    assert isinstance(error, UndecodableStreamError)


@every_coding
def test_many_small_members_are_refused(coding: str) -> None:
    """Each costs something even when it is empty, and the message says what to do."""
    body = encode(coding, BODIES[StreamFormat.NDJSON][:100]) * 4
    _, error = drawn(read(body, 1000, StreamFormat.NDJSON, coding))
    assert isinstance(error, StreamTooLargeError)
    assert "more than 3 small" in str(error)
    assert "max_body_members" in str(error)


@every_coding
@pytest.mark.parametrize("step", [100, 10_000])
def test_content_that_becomes_much_more_than_it_was_is_refused(coding: str, step: int) -> None:
    """All complete lines up to there are taken first, and what is larger without compression is not refused."""
    limits = Limits(max_body_bytes=100_000, max_stream_expansion=10)
    streams = StreamDecoder(Decoder(Structurer(), limits), limits, lambda: Timestamp(at(0)))
    body = BODIES[StreamFormat.NDJSON] + b"\n" * 1_000_000

    def read_limited(sent: bytes, coding: str | None) -> Iterator[Chunk]:
        stream = streams.begin(StreamFormat.NDJSON, coding)
        for start in range(0, len(sent), step):
            yield from stream.feed(sent[start : start + step])
        yield from stream.finish()

    chunks, error = drawn(read_limited(encode(coding, body), coding))
    assert numbers(chunks) == [1, 2, 3, 4, 5]
    assert isinstance(error, StreamTooLargeError)
    assert "more than 10 times as large" in str(error)
    assert "max_stream_expansion" in str(error)
    chunks, error = drawn(read_limited(body, None))
    assert (numbers(chunks), error, chunks[-1].last_line) == ([1, 2, 3, 4, 5], None, 1_000_005)
