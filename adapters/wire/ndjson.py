"""Newline-delimited JSON as chunks of candidates, however its bytes are cut into pieces.

Splitting and decoding are calls into C, one for a piece and one for a line. In memory are a piece, a chunk, and what
has come of a line that is not complete yet; of a line that gets too long, nothing but its length.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from adapters.wire.decode import Decoder
from core.errors import RunsinkError
from core.model.batch import Candidate, Sent
from core.model.limits import Limits
from core.model.run import Timestamp
from core.model.stream import CHUNK_BYTES, CHUNK_RUNS, Chunk

PIECE_BYTES: Final = 256 * 1024
"""A larger piece is split by parts of this size, for a piece may be nothing but line ends."""

_BLANK: Final = b" \t\r"
_BLANK_LINES: Final = b" \t\r\n"


class LineSplitter:
    """Cuts pieces into lines, without their LF or CRLF.

    Of a line of more than ``max_bytes`` only its beginning and its length are kept, and stand in its place.
    """

    def __init__(self, max_bytes: int) -> None:
        self._most = max_bytes + 1  # a CR may follow
        self._parts: list[bytes] = []
        self._beginning = b""
        self._length = 0
        self._ends_with_cr = False

    def feed(self, piece: bytes) -> Sequence[bytes | Sent]:
        """Return the lines that end in this piece."""
        lines: list[bytes | Sent] = []
        first, *others = piece.split(b"\n")
        self._begin(first)
        if others:
            last = others.pop()
            lines.append(self._end())
            lines += [line.removesuffix(b"\r") for line in others]
            self._begin(last)
        return lines

    @property
    def at_start(self) -> bool:
        """Whether nothing has come of the next line."""
        return not self._length

    def finish(self) -> Sequence[bytes | Sent]:
        """Return the line that has no end, if there is one."""
        return [self._end()] if self._length else []

    def _begin(self, part: bytes) -> None:
        """Add to the line that is not complete yet."""
        if not part:
            return
        self._length += len(part)
        self._ends_with_cr = part.endswith(b"\r")
        if self._length <= self._most:
            self._parts.append(part)
        elif self._parts or self._length == len(part):
            self._beginning = Sent.of(b"".join((*self._parts, part))).beginning
            self._parts.clear()

    def _end(self) -> bytes | Sent:
        length, line = self._length, b"".join(self._parts).removesuffix(b"\r")
        size = length - self._ends_with_cr
        too_long = length > self._most
        beginning = self._beginning
        self._parts.clear()
        self._beginning = b""
        self._length, self._ends_with_cr = 0, False
        return Sent(beginning, size) if too_long else line


class NdjsonReader:
    """Reads a stream of lines, numbered from 1, as chunks.

    Lines up to ``after`` are passed over, as they were decided before. Used by one thread at a time.
    """

    def __init__(self, decoder: Decoder, limits: Limits, now: Callable[[], Timestamp], after: int = 0) -> None:
        self._decoder = decoder
        self._now = now
        self._after = after
        self._splitter = LineSplitter(limits.max_run_bytes)
        self._line = 0
        self._received_at = now()
        self._begin()

    def feed(self, piece: bytes) -> Iterator[Chunk]:
        """Take the next piece; draw the chunks that it completes, to their end.

        Raises:
            NotUtf8Error: a line is not UTF-8. All chunks up to the line before it were drawn.
        """
        self._received_at = self._now()
        for at in range(0, len(piece), PIECE_BYTES):
            part = piece[at : at + PIECE_BYTES]
            if self._splitter.at_start and not part.strip(_BLANK_LINES):
                blank, end, part = part.rpartition(b"\n")
                yield from self._pass_over(blank + end)
            yield from self._take(self._splitter.feed(part))

    def flush(self) -> Iterator[Chunk]:
        """Draw the chunk of all lines that are complete; where more are slow to come, or none will."""
        if self._line > self._chunked:
            yield self._end()

    def finish(self) -> Iterator[Chunk]:
        """Draw what is left when the stream was read to its end; raises as ``feed`` does."""
        yield from self._take(self._splitter.finish())
        yield from self.flush()

    def _take(self, lines: Sequence[bytes | Sent]) -> Iterator[Chunk]:
        for line in lines:
            if self._line < self._after:
                self._line = self._chunked = self._line + 1
                continue
            size = 1 + len(line.beginning if isinstance(line, Sent) else line)
            if len(self._candidates) == CHUNK_RUNS or self._bytes + size > CHUNK_BYTES:
                yield from self.flush()
            self._bytes += size
            try:
                self._add(line, self._line + 1)
            except RunsinkError:
                yield from self.flush()
                raise
            self._line += 1
        if len(self._candidates) == CHUNK_RUNS:
            yield from self.flush()

    def _pass_over(self, blank: bytes) -> Iterator[Chunk]:
        """Count blank lines without looking at each: a small compressed body may hold any number of them."""
        if self._bytes + len(blank) > CHUNK_BYTES:
            yield from self.flush()
        self._bytes += len(blank)
        self._line += blank.count(b"\n")
        self._chunked = max(self._chunked, min(self._line, self._after))

    def _add(self, line: bytes | Sent, number: int) -> None:
        candidate = self._candidate(line, number)
        if candidate is not None:
            self._candidates.append(candidate)
            self._lines.append(number)

    def _candidate(self, line: bytes | Sent, number: int) -> Candidate | None:
        if isinstance(line, Sent):
            return self._decoder.too_long(line, number)
        # Most lines end with a brace, and then looking for what is blank is not worth it.
        if line[-1:] != b"}" and not line.strip(_BLANK):
            return None
        return self._decoder.line(line, number, self._received_at)

    def _begin(self) -> None:
        self._candidates: list[Candidate] = []
        self._lines: list[int] = []
        self._bytes = 0
        self._chunked = self._line

    def _end(self) -> Chunk:
        chunk = Chunk(self._candidates, self._lines, self._line)
        self._begin()
        return chunk
