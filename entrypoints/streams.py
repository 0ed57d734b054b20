"""A stream as it was sent, in its content coding and format, as chunks of candidates."""

from collections.abc import Callable, Iterator
from typing import Final, Protocol

import attrs

from adapters.content_coding import CorruptContentError, TooManyMembersError, decoder
from adapters.wire.array import ArrayReader
from adapters.wire.decode import Decoder
from adapters.wire.ndjson import NdjsonReader
from core.errors import RunsinkError, StreamTooLargeError
from core.model.limits import Limits
from core.model.run import Timestamp
from core.model.stream import Chunk, StreamFormat


class UndecodableStreamError(RunsinkError):
    """The compressed bytes of a stream are damaged or cut off."""


class _Reader(Protocol):
    def feed(self, piece: bytes) -> Iterator[Chunk]: ...
    def flush(self) -> Iterator[Chunk]: ...
    def finish(self) -> Iterator[Chunk]: ...


_READERS: Final[dict[StreamFormat, Callable[[Decoder, Limits, Callable[[], Timestamp], int], _Reader]]] = {
    StreamFormat.NDJSON: NdjsonReader,
    StreamFormat.JSON: ArrayReader,
}


@attrs.frozen
class StreamDecoder:
    """What every stream is decoded with."""

    decoder: Decoder
    limits: Limits
    now: Callable[[], Timestamp]

    def begin(self, kind: StreamFormat, coding: str | None, after: int = 0) -> "StreamReader":
        """Begin to read a stream; lines up to ``after`` are passed over, as they were decided before."""
        return StreamReader(_READERS[kind](self.decoder, self.limits, self.now, after), coding, self.limits)


class StreamReader:
    """One stream that is being read, by one thread at a time.

    What is in memory is bounded, as long as each chunk is let go of before the next one is drawn. What ``feed`` and
    ``finish`` return has to be drawn to its end before the next call.
    """

    def __init__(self, reader: _Reader, coding: str | None, limits: Limits) -> None:
        self._reader = reader
        self._coding = coding
        self._max_members = limits.max_body_members
        self._expansion, self._room = limits.max_stream_expansion, limits.max_body_bytes
        self._decoder = decoder(coding, self._max_members)

    def feed(self, piece: bytes) -> Iterator[Chunk]:
        """Take the next piece, wherever it was cut; draw the chunks that it completes.

        Raises:
            UndecodableStreamError, NotUtf8Error: the stream ends here. All chunks of complete lines before were drawn.
            StreamTooLargeError: the same, for an array of too many bytes, compression in too many members or of content
                that nobody would send but to keep the server busy.
        """
        try:
            self._room += len(piece) * self._expansion
            for part in self._decoder.feed(piece):
                yield from self._reader.feed(part)
                self._room -= len(part)
                if self._room < 0:
                    yield from self._reader.flush()
                    raise StreamTooLargeError(
                        f"the body becomes more than {self._expansion} times as large when it is decompressed "
                        "(max_stream_expansion)"
                    )
        except CorruptContentError as error:
            yield from self._reader.flush()
            raise UndecodableStreamError(f"the body cannot be decompressed: {error}") from None
        except TooManyMembersError:
            yield from self._reader.flush()
            raise StreamTooLargeError(
                f"the body has more than {self._max_members} small {self._coding} members (max_body_members); "
                "compress it as a whole"
            ) from None

    def flush(self) -> Iterator[Chunk]:
        """Draw the chunk of all lines that are complete; where more are slow to come, or none will."""
        return self._reader.flush()

    def finish(self) -> Iterator[Chunk]:
        """Draw what is left when the stream was read to its end.

        Raises:
            UndecodableStreamError, NotUtf8Error: as ``feed``.
            NotJsonError, NotABatchError, StreamTooLargeError: it is no array of runs, or one of too many values.
        """
        try:
            self._decoder.finish()
        except CorruptContentError as error:
            yield from self._reader.flush()
            raise UndecodableStreamError(f"the body cannot be decompressed: {error}") from None
        yield from self._reader.finish()
