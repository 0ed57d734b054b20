"""Encoding and decoding gzip and zstd, and the limits of decoding."""

import gzip
import zlib
from collections.abc import Iterable
from pathlib import Path

import pytest
import zstandard

from adapters.content_coding import (
    CODINGS,
    ContentTooLargeError,
    CorruptContentError,
    TooManyMembersError,
    decode,
    decoder,
    encode,
    encode_small,
)

TEXT = b'{"runs":[' + b'{"run_id":"launch-7"},' * 5000 + b"{}]}"
every_coding = pytest.mark.parametrize("coding", CODINGS)


def undo(coding: str, content: bytes) -> bytes:
    """Decode with limits that do not matter."""
    return decode(coding, content, 10**9, 1000)


@every_coding
@pytest.mark.parametrize("content", [b"", b"x", TEXT, bytes(300_000)])
def test_what_was_encoded_is_decoded(coding: str, content: bytes) -> None:
    """Any content survives, even empty content, and repetitive content shrinks."""
    assert undo(coding, encode(coding, content)) == content
    assert len(encode(coding, TEXT)) < len(TEXT) / 10


@every_coding
@pytest.mark.parametrize("content", [b"", b"x", Path(__file__).read_bytes()])
def test_the_slow_level_encodes_the_same_smaller(coding: str, content: bytes) -> None:
    """What it encodes decodes to the same content, and a text is smaller than at the fast level."""
    small = encode_small(coding, content)
    assert undo(coding, small) == content
    if len(content) > 1000:
        assert len(small) < len(encode(coding, content))


@every_coding
def test_members_follow_each_other(coding: str) -> None:
    """Several members, including empty ones, decode to one content."""
    parts = [TEXT[:50_000], b"", TEXT[50_000:], b""]
    assert undo(coding, b"".join(encode(coding, part) for part in parts)) == TEXT


def test_skippable_zstd_frames_are_skipped() -> None:
    """Skippable frames (RFC 8878, section 3.1.2) are ignored, wherever they are."""
    skippable = b"\x50\x2a\x4d\x18\x05\x00\x00\x00notes"
    assert undo("zstd", skippable + encode("zstd", TEXT) + skippable) == TEXT


@every_coding
def test_every_cut_is_found(coding: str) -> None:
    """Truncated content is rejected, even if it is empty."""
    whole = encode(coding, TEXT[:100]) + encode(coding, TEXT[:200])
    ends = [at for at in range(len(whole)) if not whole[:at] or at != len(encode(coding, TEXT[:100]))]
    for at in ends:
        with pytest.raises(CorruptContentError, match=f"is truncated after {at} bytes"):
            undo(coding, whole[:at])


@every_coding
@pytest.mark.parametrize("junk", [b"\0", b"junk", b"\x1f\x8b", b'{"runs": []}'])
def test_what_follows_has_to_be_a_member(coding: str, junk: bytes) -> None:
    """Data after the last member is rejected, and the message says where."""
    with pytest.raises(CorruptContentError, match=r"(damaged at or|truncated) after (byte )?\d+"):
        undo(coding, encode(coding, TEXT) + junk)


@every_coding
def test_damage_is_found(coding: str) -> None:
    """Content with a wrong checksum is rejected; in zstd the checksum is optional."""
    whole = encode(coding, TEXT) if coding == "gzip" else zstandard.ZstdCompressor(write_checksum=True).compress(TEXT)
    at = len(whole) - 6 if coding == "gzip" else len(whole) - 2
    damaged = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    with pytest.raises(CorruptContentError, match=f"the {coding} content is damaged"):
        undo(coding, damaged)


@pytest.mark.parametrize("content", [zlib.compress(TEXT), TEXT, b"\x28\xb5\x2f\xfd", b"\x1f\x8b\x08"])
@every_coding
def test_what_is_neither_is_refused(coding: str, content: bytes) -> None:
    """The zlib format, plain text and bare headers are rejected."""
    with pytest.raises(CorruptContentError):
        undo(coding, content)


@every_coding
def test_the_bound_is_exact(coding: str) -> None:
    """Content at the limit is decoded, and one byte more is rejected."""
    content = encode(coding, TEXT)
    assert decode(coding, content, len(TEXT), 1) == TEXT
    with pytest.raises(ContentTooLargeError):
        decode(coding, content, len(TEXT) - 1, 1)


@every_coding
def test_members_are_counted(coding: str) -> None:
    """Members up to the limit are accepted, empty ones count, and one more is rejected."""
    empty = encode(coding, b"")
    assert decode(coding, empty * 10, 0, 10) == b""
    with pytest.raises(TooManyMembersError):
        decode(coding, empty * 11, 0, 10)


def test_a_window_beyond_eight_mebibytes_is_refused() -> None:
    """A zstd frame with the window that RFC 8878 recommends is accepted, and a larger one is rejected."""
    for log, taken in ((23, True), (24, False)):
        parameters = zstandard.ZstdCompressionParameters(window_log=log, write_content_size=False)
        compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        content = compressor.compress(TEXT) + compressor.flush()
        if taken:
            assert undo("zstd", content) == TEXT
        else:
            with pytest.raises(CorruptContentError, match="too much memory"):
                undo("zstd", content)


def test_a_dictionary_is_refused() -> None:
    """A zstd frame that requires a dictionary is rejected, since there is none."""
    samples = [b"%d: some sample text of run %d, over and over" % (n, n * n) * 3 for n in range(2000)]
    dictionary = zstandard.train_dictionary(1024, samples)
    with pytest.raises(CorruptContentError, match="ictionary"):
        undo("zstd", zstandard.ZstdCompressor(dict_data=dictionary).compress(TEXT))


def test_gzip_fields_are_passed_over() -> None:
    """A file name and a time in the gzip header are ignored."""
    assert undo("gzip", gzip.compress(TEXT, mtime=1)) == TEXT
    named = zlib.compressobj(wbits=-15)
    deflated = named.compress(b"x") + named.flush()
    header = b"\x1f\x8b\x08\x08\x01\x02\x03\x04\x00\x03runs.json\0"
    trailer = zlib.crc32(b"x").to_bytes(4, "little") + (1).to_bytes(4, "little")
    assert undo("gzip", header + deflated + trailer) == b"x"


def drawn(coding: str | None, pieces: Iterable[bytes], max_members: int = 1000) -> bytes:
    """Decode content that comes in pieces."""
    parts = decoder(coding, max_members)
    content = b"".join(part for piece in pieces for part in parts.feed(piece))
    parts.finish()
    return content


@pytest.mark.parametrize("coding", [None, *CODINGS])
@pytest.mark.parametrize("step", [1, 10, 255, 5000, 10**6])
@pytest.mark.parametrize("content", [b"x", TEXT, bytes(300_000)])
def test_pieces_are_decoded_however_they_are_cut(coding: str | None, step: int, content: bytes) -> None:
    """Members, empty ones among them, follow each other over any cuts."""
    parts = [content[:9], b"", content[9:], b""]
    whole = b"".join(part if coding is None else encode(coding, part) for part in parts)
    assert drawn(coding, (whole[at : at + step] for at in range(0, len(whole), step))) == content


@every_coding
def test_every_cut_is_found_at_the_end_of_pieces(coding: str) -> None:
    """Content of which any part is missing cannot end there."""
    whole = encode(coding, TEXT[:200])
    for at in range(len(whole)):
        with pytest.raises(CorruptContentError, match=f"breaks off after {at} bytes"):
            drawn(coding, [whole[:at]])


@every_coding
def test_damage_is_found_in_pieces(coding: str) -> None:
    """What was decoded before it has been drawn."""
    parts = decoder(coding, 1000)
    found = list(parts.feed(encode(coding, TEXT)))
    with pytest.raises(CorruptContentError, match="damaged at or after byte"):
        list(parts.feed(b"junk junk junk"))
    assert b"".join(found) == TEXT


@every_coding
def test_what_a_step_becomes_is_bounded(coding: str) -> None:
    """Of a piece that becomes very large only a part is in memory at a time."""
    bomb = encode(coding, bytes(50_000_000))
    assert max(map(len, decoder(coding, 1).feed(bomb))) <= 9 * 1024 * 1024


@every_coding
def test_only_small_members_are_counted(coding: str) -> None:
    """Content of any length may consist of members that are worth their cost, but not of empty ones."""
    large, small = encode(coding, bytes(4096)), encode(coding, b"x")
    assert len(drawn(coding, [large * 100], max_members=1)) == 409_600
    assert drawn(coding, [small * 10], max_members=10) == b"x" * 10
    with pytest.raises(TooManyMembersError):
        drawn(coding, [small * 11], max_members=10)
