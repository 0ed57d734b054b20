"""Lines out of pieces that end anywhere."""

from collections.abc import Iterator
from typing import Final

from adapters.api_client.errors import InvalidResponseError

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""A run has at most 2 MiB as it is sent, and grows by at most a few times when it is shown."""


class LineSplitter:
    """Takes a text piece by piece and returns its lines, without their ends; empty lines are left out."""

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._begun = bytearray()

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Return the lines that end in this piece; raise ``InvalidResponseError`` for one that is too long."""
        *ended, rest = piece.split(b"\n")
        for end in ended:
            line = bytes(self._begun + end).rstrip(b"\r")
            self._begun.clear()
            if line:
                yield line
        self._begun += rest
        if len(self._begun) > self._max_line_bytes:
            raise InvalidResponseError(f"a line of the response has more than {self._max_line_bytes} bytes")

    def end(self) -> Iterator[bytes]:
        """Return the last line, if the text does not end with the end of one."""
        line = bytes(self._begun).rstrip(b"\r")
        self._begun.clear()
        if line:
            yield line
