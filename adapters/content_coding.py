"""Content codings (RFC 9110, section 8.4.1): encoding and decoding gzip (RFC 1952) and zstd (RFC 8878).

Decompression is bounded by its output: it takes input in slices so small that even the largest possible output of one
is only part of the maximum body size.
"""

import zlib
from collections.abc import Callable
from typing import Final, Protocol

import attrs
import zstandard

_MIB: Final = 1024 * 1024

_MAX_ZSTD_WINDOW: Final = 8 * _MIB
"""The window that every decoder should support, so encoders may use up to this size (RFC 8878, section 3.1.1)."""

_GZIP_LEVEL: Final = 1
_ZSTD_LEVEL: Final = 3


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
