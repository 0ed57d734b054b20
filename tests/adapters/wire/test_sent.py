"""What a decoder keeps of the runs that it refuses, and of no others."""

import json
from typing import Any

import pytest

from adapters.wire.array import ArrayReader
from adapters.wire.decode import Decoder
from adapters.wire.encode import encode_sent
from adapters.wire.json_text import encode_json
from adapters.wire.ndjson import NdjsonReader
from adapters.wire.structure import Structurer
from core.model.batch import MAX_SENT_BYTES, Candidate, RefusedRun, Sent
from core.model.limits import Limits
from core.model.run import Run, Timestamp
from core.model.stream import CHUNK_BYTES, Chunk
from tests.contract.samples import at

NOW = Timestamp(at(0))
LIMITS = Limits(max_run_bytes=1000)
KEEPING = Decoder(Structurer(), LIMITS, keeps_sent=True)
GOOD = b'{"event_id":"e", "run_id":"r","agent_name":"a","job_type":"j","start_time":"2026-01-31T12:00:00Z"}'
BAD = b'{ "event_id" : "b", "status":"lost"}'
LONG = b'{"event_id": "%s"}' % (b"x" * 2000)


def kept(candidates: list[Candidate]) -> list[str | None]:
    """Return what is kept of each candidate as it was sent; ``None`` for a valid one."""
    return [one.sent.text if isinstance(one, RefusedRun) and isinstance(one.sent, Sent) else None for one in candidates]


def chunks_of(reader: ArrayReader | NdjsonReader, *pieces: bytes) -> list[Chunk]:
    """Return all chunks of a stream."""
    return [*(chunk for piece in pieces for chunk in reader.feed(piece)), *reader.finish()]


def batch(*runs: bytes) -> bytes:
    """Return a batch."""
    return b'{"runs": [%s]}' % b", ".join(runs)


def test_the_invalid_runs_of_a_batch_are_kept_as_they_were_sent() -> None:
    """Byte for byte, whitespace included, and those that are too large as well."""
    found = kept(KEEPING.batch(batch(GOOD, BAD, LONG, b"[1]"), NOW))
    assert found == [None, BAD.decode(), LONG.decode(), "[1]"]


def test_in_the_slow_pass_they_are_written_anew() -> None:
    """A body with NaN is no JSON; the runs have the same members."""
    found = kept(KEEPING.batch(batch(GOOD, BAD, b'{"metrics_json":{"a":NaN}, "x":"\\ud800\\u00fc"}'), NOW))
    assert found == [None, '{"event_id": "b", "status": "lost"}', '{"metrics_json": {"a": NaN}, "x": "\\ud800ü"}']


def test_what_cannot_be_written_is_left_out() -> None:
    """An integer without end is no reason to fail, nor is nesting."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert [encode_json(value) for value in (10**5000, deep)] == [b"", b""]


def test_a_single_run_is_kept() -> None:
    """The whole body."""
    assert kept([KEEPING.run(BAD, NOW), KEEPING.run(GOOD, NOW)]) == [BAD.decode(), None]


def test_lines_are_kept_whatever_they_are() -> None:
    """Not JSON, too long, or with bad fields; of a very long one the beginning."""
    limits = Limits(max_run_bytes=200_000)
    reader = NdjsonReader(Decoder(Structurer(), limits, keeps_sent=True), limits, lambda: NOW)
    lines = [GOOD, BAD, b"{", b"x" * 100_000, b"y" * 300_000]
    found = [one for chunk in chunks_of(reader, b"\n".join(lines)) for one in kept(list(chunk.candidates))]
    assert found[:3] == [None, BAD.decode(), "{"]
    omitted = (("x", 34_464), ("y", 234_464))
    assert found[3:] == [f"{letter * MAX_SENT_BYTES}… ({number} more bytes)" for letter, number in omitted]


def test_a_chunk_is_bounded_with_what_is_kept() -> None:
    """Of lines that are too long their beginnings count."""
    limits = Limits(max_run_bytes=70_000)
    reader = NdjsonReader(Decoder(Structurer(), limits, keeps_sent=True), limits, lambda: NOW)
    for chunk in chunks_of(reader, *[b"x" * 80_000 + b"\n"] * 50):
        assert len(chunk.candidates) * MAX_SENT_BYTES <= CHUNK_BYTES


@pytest.mark.parametrize("body", [b"[%s, %s]", b'{"runs": [%s, %s]}'])
def test_elements_of_an_array_are_kept(body: bytes) -> None:
    """As the runs of a batch."""
    reader = ArrayReader(KEEPING, LIMITS, lambda: NOW)
    (chunk,) = chunks_of(reader, body % (GOOD, BAD))
    assert kept(list(chunk.candidates)) == [None, BAD.decode()]
    (chunk,) = chunks_of(ArrayReader(KEEPING, LIMITS, lambda: NOW), b"[%s, NaN]" % BAD)
    assert kept(list(chunk.candidates)) == ['{"event_id": "b", "status": "lost"}', "NaN"]


def test_nothing_is_kept_unless_it_is_asked_for() -> None:
    """A decoder as every other program uses it."""
    decoder = Decoder(Structurer(), LIMITS)
    reader = NdjsonReader(decoder, LIMITS, lambda: NOW)
    candidates: list[Any] = [*decoder.batch(batch(BAD, LONG, b"NaN"), NOW), decoder.run(BAD, NOW)]
    candidates += [one for chunk in chunks_of(reader, BAD + b"\n{\n" + LONG) for one in chunk.candidates]
    assert [one.sent for one in candidates] == [None] * 7


def test_a_valid_run_is_written_as_it_could_have_been_sent() -> None:
    """It decodes to the same run, and has nothing that the server sets or that is absent."""
    sent = b'{"event_id":"e","run_id":"r","agent_name":"a","job_type":"j","start_time":"2026-01-31T12:00:00.5Z",'
    sent += b'"status":"failed","metrics_json":{"b":1,"a":[null]},"later":{"c":2}}'
    run = KEEPING.run(sent, NOW)
    assert isinstance(run, Run)
    written = encode_sent(run)
    assert KEEPING.run(written, NOW) == run
    assert not {"created_at", "updated_at", "end_time"} & json.loads(written).keys()
