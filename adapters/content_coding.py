"""Content codings (RFC 9110, section 8.4.1): encoding and decoding gzip (RFC 1952) and zstd (RFC 8878).

Decompression is bounded by its output: it takes input in slices so small that even the largest possible output of one
is only part of the maximum body size.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import attrs
import zstandard

_MIB: Final = 1024 * 1024

_MAX_ZSTD_WINDOW: Final = 8 * _MIB
"""The window that every decoder should support, so encoders may use up to this size (RFC 8878, section 3.1.1)."""

_SMALL_MEMBER_BYTES: Final = 4096

_GZIP_LEVEL: Final = 1
_ZSTD_LEVEL: Final = 3
_SMALL_GZIP_LEVEL: Final = 9
_SMALL_ZSTD_LEVEL: Final = 12


class CorruptContentError(Exception):
    """The content is damaged, truncated, or followed by something else."""


class ContentTooLargeError(Exception):
    """The decoded content exceeds the limit."""


class TooManyMembersError(Exception):
    """The content has more members than the limit; each has a cost, even an empty one."""


class _Member(Protocol):
    """One gzip member or zstd frame being decompressed."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: memoryview, /) -> bytes: ...


class Encoder(Protocol):
    """Encodes content part by part."""

    def compress(self, data: bytes, /) -> bytes:
        """Encode the next part; return the output that is ready."""
        ...

    def flush(self) -> bytes:
        """Return the rest of the output, after the last part."""
        ...


@attrs.frozen
class _Coding:
    """How to encode and decode one coding; ``slice_bytes`` of input decode to about 8 MiB at most."""

    begin: Callable[[], Callable[[], _Member]]
    slice_bytes: int
    encoder: Callable[[int], Encoder]
    encoder_bytes: int


def _gzip_members() -> Callable[[], _Member]:
    return lambda: zlib.decompressobj(zlib.MAX_WBITS | 16)


def _zstd_frames() -> Callable[[], _Member]:
    return zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW).decompressobj


_CODINGS: Final = {
    # 4 bytes decode to at most a block of 128 KiB.
    "zstd": _Coding(_zstd_frames, 256, lambda size: zstandard.ZstdCompressor(_ZSTD_LEVEL).compressobj(size), 4 * _MIB),
    # Deflate expands one byte to at most 1032.
    "gzip": _Coding(_gzip_members, 4096, lambda _: zlib.compressobj(_GZIP_LEVEL, wbits=zlib.MAX_WBITS | 16), _MIB // 4),
}

CODINGS: Final = tuple(_CODINGS)
"""The names of the codings, cheapest first."""


class _Identity:
    """No coding at all."""

    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def encoder(coding: str | None, size: int = -1) -> Encoder:
    """Return an encoder for this coding, at a fast level; with ``None``, for no coding.

    ``size`` is the length of the content in bytes, if known.
    """
    return _Identity() if coding is None else _CODINGS[coding].encoder(size)


def encoder_bytes(coding: str | None) -> int:
    """Return roughly how many bytes of memory an encoder takes."""
    return 0 if coding is None else _CODINGS[coding].encoder_bytes


def encode(coding: str, content: bytes) -> bytes:
    """Encode the content, at a fast level."""
    whole = encoder(coding, len(content))
    return whole.compress(content) + whole.flush()


def encode_small(coding: str, content: bytes) -> bytes:
    """Encode the content at a level that is several times slower, for what is encoded once and sent often."""
    if coding == "zstd":
        return zstandard.ZstdCompressor(_SMALL_ZSTD_LEVEL).compress(content)
    return zlib.compress(content, _SMALL_GZIP_LEVEL, wbits=zlib.MAX_WBITS | 16)


class Decoder(Protocol):
    """Content that is being decoded part by part."""

    def feed(self, piece: bytes, /) -> Iterator[bytes]:
        """Take the next piece of the content; draw what becomes of it, to its end.

        Raises:
            CorruptContentError, TooManyMembersError
        """
        ...

    def finish(self) -> None:
        """Raise ``CorruptContentError`` if the content cannot end here."""
        ...


class _Undone:
    """No coding at all."""

    def feed(self, piece: bytes, /) -> Iterator[bytes]:
        yield piece

    def finish(self) -> None:
        pass


class _Decompressor:
    """Undoes one coding, a slice at a time. What a slice becomes is drawn before the next one is looked at.

    Content may be of any length, so only small members are counted: a large one is worth what it costs.
    """

    def __init__(self, coding: str, max_members: int) -> None:
        self._coding = coding
        self._begin, self._slice_bytes = _CODINGS[coding].begin(), _CODINGS[coding].slice_bytes
        self._member: _Member | None = None
        self._at = self._member_bytes = 0
        self._members_left = max_members

    def feed(self, piece: bytes, /) -> Iterator[bytes]:
        view = memoryview(piece)
        while view:
            if self._member is None:
                self._count_member()
                self._member, self._member_bytes = self._begin(), 0
            part = view[: self._slice_bytes]
            decoded = _decompress(self._member, part, self._coding, self._at)
            taken = len(part) - len(self._member.unused_data)
            self._at += taken
            view = view[taken:]
            self._member_bytes += len(decoded)
            if self._member.eof:
                self._member = None
            if decoded:
                yield decoded

    def finish(self) -> None:
        if self._member is not None or not self._at:
            raise CorruptContentError(f"the {self._coding} content breaks off after {self._at} bytes")

    def _count_member(self) -> None:
        """Count the member that begins, unless the one before it was large."""
        if self._member_bytes < _SMALL_MEMBER_BYTES:
            self._members_left -= 1
        if self._members_left < 0:
            raise TooManyMembersError


def decoder(coding: str | None, max_members: int) -> Decoder:
    """Begin to decode content of any length; ``None`` leaves it as it is.

    A member that follows one of at least 4 KiB is not counted among the ``max_members``.
    """
    return _Undone() if coding is None else _Decompressor(coding, max_members)


def decode(coding: str, content: bytes, max_bytes: int, max_members: int) -> bytes:
    """Decode the whole content, in one or more members or frames.

    Raises:
        CorruptContentError, ContentTooLargeError, TooManyMembersError
    """
    begin, slice_bytes = _CODINGS[coding].begin(), _CODINGS[coding].slice_bytes
    decoded, view, at = bytearray(), memoryview(content), 0
    for _ in range(max_members):
        member = begin()
        while not member.eof:
            piece = view[at : at + slice_bytes]
            decoded += _decompress(member, piece, coding, at)
            at += len(piece) - len(member.unused_data)
            if len(decoded) > max_bytes:
                raise ContentTooLargeError
        if at == len(content):
            return bytes(decoded)
    raise TooManyMembersError


def _decompress(member: _Member, piece: memoryview, coding: str, at: int) -> bytes:
    if not piece:
        raise CorruptContentError(f"the {coding} content is truncated after {at} bytes")
    try:
        return member.decompress(piece)
    except (zlib.error, zstandard.ZstdError) as error:
        raise CorruptContentError(f"the {coding} content is damaged at or after byte {at}: {error}") from None
