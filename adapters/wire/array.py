"""A stream that is one JSON array, as chunks of candidates. It is read whole before anything of it is taken."""

from collections.abc import Callable, Iterator
from itertools import islice

from adapters.wire.decode import Decoder
from core.errors import RunsinkError, StreamTooLargeError
from core.model.batch import Candidate
from core.model.limits import Limits
from core.model.run import Timestamp
from core.model.stream import CHUNK_BYTES, CHUNK_RUNS, Chunk


class ArrayReader:
    """Reads a bare array of runs, or an object with one in its field ``runs``; elements are numbered from 1.

    Elements up to ``after`` are passed over, as they were decided before. Used by one thread at a time.
    """

    def __init__(self, decoder: Decoder, limits: Limits, now: Callable[[], Timestamp], after: int = 0) -> None:
        self._decoder = decoder
        self._limit = limits.max_body_bytes
        self._now = now
        self._after = after
        self._body = bytearray()

    def feed(self, piece: bytes) -> Iterator[Chunk]:
        """Take the next piece, of which nothing comes yet.

        Raises:
            StreamTooLargeError: the array is larger than may be read.
        """
        self._body += piece
        if len(self._body) > self._limit:
            self._body.clear()
            raise StreamTooLargeError(
                f"the body is larger than {self._limit} bytes (max_body_bytes), which an array may have; "
                "newline-delimited JSON (application/x-ndjson) may be of any length"
            )
        yield from ()

    def flush(self) -> Iterator[Chunk]:
        """Nothing: no part of an array can be trusted before its end."""
        yield from ()

    def finish(self) -> Iterator[Chunk]:
        """Draw all chunks of the array.

        Raises:
            NotJsonError, NotABatchError, StreamTooLargeError, NotUtf8Error: of the last, all chunks up to the element
                before it were drawn.
        """
        body = bytes(self._body)
        self._body.clear()
        candidates: list[Candidate] = []
        size, last = 0, self._after
        for element in islice(self._decoder.elements(body), self._after, None):
            if candidates and (len(candidates) == CHUNK_RUNS or size + element.size > CHUNK_BYTES):
                yield _chunk(candidates, last)
                candidates, size = [], 0
            try:
                candidates.append(element.decode(last + 1, self._now()))
            except RunsinkError:
                if candidates:
                    yield _chunk(candidates, last)
                raise
            size += element.size
            last += 1
        if candidates:
            yield _chunk(candidates, last)


def _chunk(candidates: list[Candidate], last: int) -> Chunk:
    return Chunk(candidates, range(last - len(candidates) + 1, last + 1), last)
