"""The shared memory of the metrics: what is read was written whole, whoever dies when."""

import os
import signal
import warnings
from contextlib import suppress
from itertools import count

import pytest

from adapters.prometheus import Board
from adapters.prometheus.board import HALF_BYTES


def test_a_slot_is_empty_at_first_and_then_holds_what_was_written_last() -> None:
    """Slots do not share anything."""
    one, other = Board(2).slots
    assert one.read() == b""
    for content in (b"first", b"second", b"", b"x" * 100_000, b"third"):
        one.write(content)
        assert one.read() == content
        assert other.read() == b""


def test_what_does_not_fit_is_refused_and_changes_nothing() -> None:
    """The bound is that of half a slot."""
    (slot,) = Board(1).slots
    slot.write(b"kept")
    with pytest.raises(ValueError, match="do not fit"):
        slot.write(b"x" * HALF_BYTES)
    assert slot.read() == b"kept"


def test_damage_is_noticed() -> None:
    """Content that does not match its checksum is never returned."""
    (slot,) = Board(1).slots
    slot.write(b"content")
    place = slot._place_of(slot._memory[slot._start])  # noqa: SLF001 - nothing else can damage it
    slot._memory[place + 10] ^= 1  # noqa: SLF001
    with pytest.raises(RuntimeError, match="damaged"):
        slot.read()


def test_a_reader_sees_only_whole_contents_while_another_process_writes_and_is_killed() -> None:
    """Each content repeats one byte, so a mixture would show; after the death the last whole one is there."""
    (slot,) = Board(1).slots
    slot.write(b"a" * 1000)
    with warnings.catch_warnings():
        # The child needs no thread that the parent has.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        with suppress(BaseException):
            for number in count():
                slot.write(bytes([number % 251]) * (1 + 7919 * number % 200_000))
        os._exit(1)
    seen = set()
    try:
        while len(seen) < 50:
            content = slot.read()
            assert len(set(content)) == 1
            seen.add(content)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert len(set(slot.read())) == 1
