"""Files of runs as lines: newline-delimited JSON, an array, or an object with an array in its first list ``runs``.

Each may be compressed with gzip or zstd, which the first bytes say. A file is read piece by piece, from its beginning
as often as need be. In an array the elements are the lines: numbers are always those that a person finds in the file.
"""

import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from io import BufferedReader
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final, Protocol, cast

import attrs
import zstandard

PIECE_BYTES: Final = 64 * 1024
MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""More than any server takes for a run."""

_HELD_BYTES: Final = 4 * 1024 * 1024
_HEAD_BYTES: Final = 64 * 1024
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_BOM: Final = b"\xef\xbb\xbf"
_WINDOW_BYTES: Final = 128 * 1024 * 1024

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_SCALAR = rb"(?:" + _STRING + rb"|[-+.0-9A-Za-z]++)"
_RUNS_DOCUMENT = re.compile(
    rb"\s*+\{(?:\s*+(?!\"(?:event_id|runs)\")" + _STRING + rb"\s*+:\s*+" + _SCALAR + rb'\s*+,)*+\s*+"runs"\s*+:\s*+\[',
    re.DOTALL,
)
_ARRAY = re.compile(rb"\s*+\[")
_TOKEN = re.compile(rb'[\[\]{},"]')
_REST_OF_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


class DamagedFileError(Exception):
    """The file is not what it seems to be; everything before that place is good."""


@attrs.frozen
class Block:
    """Some whole lines, the number of the last one, and how many bytes of the file they took to read."""

    data: bytes
    last_line: int
    bytes_read: int


class RunFile:
    """A file of runs, or standard input, of which a copy is kept so that it can be read again."""

    def __init__(self, path: Path | None) -> None:
        self.name = "stdin" if path is None else str(path)
        self.size = path.stat().st_size if path is not None and path.is_file() else None
        self.read_bytes = 0
        self._replay = _Replay(cast(BufferedReader, sys.stdin.buffer)) if path is None else None
        self._open = self._replay.pieces if self._replay else partial(_pieces_of, cast(Path, path))

    def close(self) -> None:
        """Remove the copy of standard input, if there is one."""
        if self._replay:
            self._replay.close()

    def blocks(self, after: int = 0) -> Iterator[Block]:
        """Read the lines behind that one, each with its end.

        Raises:
            DamagedFileError: once every line before the damage was read.
            OSError: the file cannot be read.
        """
        line = 0
        for data in self._line_blocks():
            count = data.count(b"\n")
            if line + count <= after:
                line += count
                continue
            rest = _behind_lines(data, after - line) if line < after else data
            line += count
            yield Block(rest, line, self.read_bytes)

    def lines(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """Read the lines behind that one with their numbers, without blank ones; raises as ``blocks`` does."""
        number, begun = after, b""
        for block in self.blocks(after):
            *whole, begun = (begun + block.data).split(b"\n")
            for line in whole:
                number += 1
                if line.strip():
                    yield number, line.removesuffix(b"\r")
        if begun.strip():
            yield number + 1, begun

    def _line_blocks(self) -> Iterator[bytes]:
        """Read whole lines, all with an end; a line that is too long for any server comes in parts."""
        self.read_bytes = 0
        decoded = _decompress(self._counted())
        head, pieces = _head_of(decoded)
        array = _RUNS_DOCUMENT.match(head) or _ARRAY.match(head)
        if array:
            rest = chain((head[array.end() :],), pieces)
            yield from _grouped(split_elements(rest, is_bare=head[array.start() : array.end()].strip() == b"["))
        else:
            yield from _whole_lines(chain((head,), pieces))

    def _counted(self) -> Iterator[bytes]:
        for piece in self._open():
            self.read_bytes += len(piece)
            yield piece


class _Replay:
    """A stream that can be read only once, with a copy of it on the disk."""

    def __init__(self, stream: BufferedReader) -> None:
        self._stream = stream
        self._copy = TemporaryFile()  # noqa: SIM115 - it lives as long as this, and has no name
        self._has_ended = False

    def close(self) -> None:
        """Remove the copy."""
        self._copy.close()

    def pieces(self) -> Iterator[bytes]:
        """Read the stream from its beginning."""
        at = 0
        while piece := self._read(at):
            at += len(piece)
            yield piece

    def _read(self, at: int) -> bytes:
        self._copy.seek(at)
        piece = self._copy.read(PIECE_BYTES)
        if not piece and not self._has_ended:
            piece = self._stream.read1(PIECE_BYTES)
            self._has_ended = not piece
            self._copy.write(piece)
        return piece


def _pieces_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def _decompress(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Undo the compression that the first bytes tell."""
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= len(_ZSTD_MAGIC):
            break
    rest = chain((head,), pieces)
    if head.startswith(_GZIP_MAGIC):
        return _members(rest, "gzip", 4096, lambda: zlib.decompressobj(zlib.MAX_WBITS | 16))
    if head.startswith(_ZSTD_MAGIC):
        # A slice so small that it becomes 8 MiB at most.
        return _members(rest, "zstd", 256, zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES).decompressobj)
    return rest


def _members(pieces: Iterable[bytes], coding: str, slice_bytes: int, begin: Callable[[], "_Member"]) -> Iterator[bytes]:
    """Decompress one member or frame after the other."""
    member = None
    for piece in pieces:
        while piece:
            part, piece = piece[:slice_bytes], piece[slice_bytes:]  # noqa: PLW2901 - it is eaten up
            member = member or begin()
            try:
                decoded = member.decompress(part)
            except (zlib.error, zstandard.ZstdError) as error:
                raise DamagedFileError(f"the {coding} file is damaged: {error}") from None
            if decoded:
                yield decoded
            if member.eof:
                piece = member.unused_data + piece  # noqa: PLW2901
                member = None
    if member is not None:
        raise DamagedFileError(f"the {coding} file breaks off")


class _Member(Protocol):
    """One gzip member or zstd frame that is being decompressed."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def _head_of(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Read as far as it takes to tell what the file is."""
    head = b""
    for piece in pieces:
        head += piece
        text = head.removeprefix(_BOM).lstrip()
        is_clear = (
            text.startswith(b"[") or _RUNS_DOCUMENT.match(text) or text.partition(b"\n")[0].rstrip().endswith(b"}")
        )
        if is_clear or len(head) >= _HEAD_BYTES:
            break
    return head.removeprefix(_BOM), pieces


def _whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Hold back the beginning of a line until its end is there. If the file is damaged, it is dropped."""
    held = b""
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if end:
            yield held + piece[:end]
            held = piece[end:]
        else:
            held += piece
            if len(held) > _HELD_BYTES:
                yield held
                held = b""
    if held:
        yield held + b"\n"


def split_elements(pieces: Iterable[bytes], *, is_bare: bool) -> Iterator[bytes]:
    """Cut the rest of an array behind its bracket into its elements, as they stand there.

    Only brackets, commas and strings are looked at: whether an element is JSON is for the server to say.

    Raises:
        DamagedFileError: the array has no end, or something follows a bare one.
    """
    buffer, at, begin, depth, count = b"", 0, 0, 0, 0
    stream = iter(pieces)
    for piece in stream:
        buffer, at, begin = buffer[begin:] + piece, at - begin, 0
        while found := _TOKEN.search(buffer, at):
            token, place = found[0], found.start()
            if token == b'"':
                end = _REST_OF_STRING.match(buffer, place + 1)
                if end is None:
                    at = place
                    break
                at = end.end()
                continue
            at = place + 1
            if depth == 0 and token in b",]":
                element = buffer[begin:place].strip()
                if element or token == b"," or count:
                    count += 1
                    yield _checked_element(element, count)
                begin = at
                if token == b"]":
                    _check_end(chain((buffer[at:],), stream), is_bare=is_bare)
                    return
            elif token != b",":
                depth += 1 if token in b"[{" else -1
        else:
            at = len(buffer)
        if len(buffer) - begin > MAX_LINE_BYTES:
            raise DamagedFileError(f"element {count + 1} of the array has more than {MAX_LINE_BYTES} bytes")
    raise DamagedFileError(f"the array breaks off in element {count + 1}")


def _checked_element(element: bytes, number: int) -> bytes:
    if not element:
        raise DamagedFileError(f"element {number} of the array is missing")
    return element


def _check_end(pieces: Iterable[bytes], *, is_bare: bool) -> None:
    if is_bare and any(piece.strip() for piece in pieces):
        raise DamagedFileError("something follows the array")


def _grouped(elements: Iterator[bytes]) -> Iterator[bytes]:
    """Make lines of elements: outside of strings a line end is as good as a blank, and inside there is none."""
    group: list[bytes] = []
    size = 0
    damage: DamagedFileError | None = None
    while True:
        try:
            element = next(elements, None)
        except DamagedFileError as error:
            element, damage = None, error
        if element is not None:
            group.append(element.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n")
            size += len(group[-1])
        if group and (element is None or size >= PIECE_BYTES):
            yield b"".join(group)
            group, size = [], 0
        if element is None:
            break
    if damage:
        raise damage


def _behind_lines(data: bytes, count: int) -> bytes:
    at = 0
    for _ in range(count):
        at = data.index(b"\n", at) + 1
    return data[at:]
