"""Cutting a JSON text that is nested too deeply for any decoder.

Where a decoder gives up differs with the version of Python and with the stack of its caller. Nothing here uses a stack,
and every step over the whole text is one call into C, so that a text costs little whatever is in it.
"""

from array import array
from collections.abc import Iterable, Iterator
from itertools import accumulate, compress, count
from typing import Final

from core.model.limits import MAX_JSON_DEPTH

KEPT_LEVELS: Final = MAX_JSON_DEPTH + 4
"""How many levels are left where a text is cut.

A batch has two, the run in it one, and an object of that run may have ``MAX_JSON_DEPTH``. So what is left out lies in
an object that is one level too deep as it is, which the rules refuse, or in a value that is ignored whatever it is.
"""

MAX_LEVELS: Final = 256
"""A text is cut where it has more levels. Every cut so takes out many levels, and there are few of them."""

_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))
_IS_BRACKET = bytes(byte in b"[{]}" for byte in range(256))
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_CHUNK_BYTES = 65_536


def cut_nesting(text: bytes) -> bytes:
    """Return a JSON text of at most ``MAX_LEVELS``: a list or object that leads to more levels is emptied.

    What is left out is not looked at. What is left is JSON exactly when the text around it is.
    """
    skeleton = _without_texts(text)
    places = _places(skeleton, _cuts(_depths(skeleton)))
    kept, begin = [], 0
    for opening in places:
        kept.append(text[begin : opening + 1])
        begin = next(places, len(text))
    return b"".join([*kept, text[begin:]])


def _without_texts(text: bytes) -> bytes:
    """The same number of bytes, with the brackets inside texts blotted out."""
    parts = text.replace(b"\\\\", b"  ").replace(b'\\"', b"  ").split(b'"')
    parts[1::2] = map(bytes, map(len, parts[1::2]))
    return b'"'.join(parts)


def _depths(skeleton: bytes) -> "array[int]":
    """How many levels are open after each bracket."""
    steps = memoryview(skeleton.translate(_STEPS, _NO_BRACKETS)).cast("b")
    return array("i", accumulate(steps))


def _cuts(depths: "array[int]") -> Iterator[int]:
    """The numbers of the brackets that begin and end what is to be emptied; the last may have no end."""
    backwards = depths[::-1]
    at = 0
    try:
        while True:
            deep = depths.index(MAX_LEVELS + 1, at)
            yield len(depths) - backwards.index(KEPT_LEVELS - 1, len(depths) - 1 - deep)
            at = depths.index(KEPT_LEVELS - 1, deep)
            yield at
    except ValueError:
        return


def _places(skeleton: bytes, numbers: Iterable[int]) -> Iterator[int]:
    """Where the brackets with these rising numbers stand; chunks without any of them are only counted."""
    start, before, held = -_CHUNK_BYTES, 0, 0
    places: list[int] = []
    for number in numbers:
        while number >= before + held:
            start += _CHUNK_BYTES
            before += held
            chunk = skeleton[start : start + _CHUNK_BYTES]
            held = len(chunk.translate(None, _NO_BRACKETS))
            places = []
        places = places or list(compress(count(start), chunk.translate(_IS_BRACKET)))
        yield places[number - before]
