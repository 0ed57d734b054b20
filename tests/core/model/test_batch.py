"""What is kept of a run as it was sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.batch import MAX_SENT_BYTES, Sent

PIECES = {
    "ascii": b"a" * 30_000,
    "latin": "ü".encode() * 10_000,
    "emoji": "\U0001f600".encode() * 5_000,
    "not UTF-8": b"\xff" * 20_000,
    "letter": b"x",
}


@pytest.mark.parametrize("text", ["", "{", "ü\0\U0001f600", "x" * MAX_SENT_BYTES])
def test_a_short_text_is_complete(text: str) -> None:
    """Up to the limit nothing is added or left out."""
    assert Sent.of(text.encode()).text == text


def test_a_long_text_says_how_much_is_left_out() -> None:
    """The beginning, and the number of bytes that follow."""
    assert Sent.of(b"x" * (MAX_SENT_BYTES + 7)).text == "x" * MAX_SENT_BYTES + "… (7 more bytes)"


def test_no_character_is_cut() -> None:
    """A character of several bytes is there or not."""
    assert Sent.of(b"x" + "\U0001f600".encode() * 20_000).text.startswith("x" + "\U0001f600" * 16_383 + "… (14468 more")


def test_what_is_not_utf8_can_be_read() -> None:
    """Each such byte is written as an escape."""
    assert Sent.of(b"a\xffb").text == "a\\xffb"


@given(st.lists(st.sampled_from(sorted(PIECES)), max_size=5))
def test_exactly_a_text_that_was_cut_is_longer_than_the_limit(pieces: list[str]) -> None:
    """So a reader can tell, whatever was sent; and what is kept is bounded."""
    whole = b"".join(PIECES[piece] for piece in pieces)
    sent = Sent.of(whole)
    readable = whole.decode("utf-8", "backslashreplace")
    size = len(sent.text.encode())
    assert len(sent.beginning) <= MAX_SENT_BYTES
    assert size <= MAX_SENT_BYTES + 50
    assert (size > MAX_SENT_BYTES) == (len(readable.encode()) > MAX_SENT_BYTES) == (sent.text != readable)
