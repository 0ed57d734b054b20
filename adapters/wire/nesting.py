"""Cutting a JSON text that is nested too deeply for any decoder.

The depth at which a decoder fails depends on the Python version and on its caller's stack. Nothing here recurses, and
every pass over the whole text is one call into C, so any text is cheap to process.
"""

from array import array
from collections.abc import Iterable, Iterator
from itertools import accumulate, compress, count
from typing import Final

from core.model.limits import MAX_JSON_DEPTH

KEPT_LEVELS: Final = MAX_JSON_DEPTH + 4
"""How many levels remain where a text is cut.

A batch has two, the run in it one, and an object of that run may have ``MAX_JSON_DEPTH``. So the cut part lies in an
object that is one level too deep anyway, which the rules reject, or in a value that is ignored.
"""

MAX_LEVELS: Final = 256
"""A text is cut where it has more levels. So every cut removes many levels, and there are few cuts."""

_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))
_IS_BRACKET = bytes(byte in b"[{]}" for byte in range(256))
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_CHUNK_BYTES = 65_536


def cut_nesting(text: bytes) -> bytes:
    """Return a JSON text of at most ``MAX_LEVELS``: lists and objects that lead to more levels are emptied.

    The removed text is not examined. The result is JSON exactly when the text around the cuts is.
    """
    skeleton = _blank_strings(text)
    places = _places(skeleton, _cuts(_depths(skeleton)))
    kept, begin = [], 0
    for opening in places:
        kept.append(text[begin : opening + 1])
        begin = next(places, len(text))
    return b"".join([*kept, text[begin:]])


def _blank_strings(text: bytes) -> bytes:
    """Blank out the brackets inside strings; return the same number of bytes."""
    parts = text.replace(b"\\\\", b"  ").replace(b'\\"', b"  ").split(b'"')
    parts[1::2] = map(bytes, map(len, parts[1::2]))
    return b'"'.join(parts)


def _depths(skeleton: bytes) -> "array[int]":
    """Return the number of open levels after each bracket."""
    steps = memoryview(skeleton.translate(_STEPS, _NO_BRACKETS)).cast("b")
    return array("i", accumulate(steps))


def _cuts(depths: "array[int]") -> Iterator[int]:
    """Yield the indices of the brackets that begin and end each cut; the last may have no end."""
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


def _places(skeleton: bytes, indices: Iterable[int]) -> Iterator[int]:
    """Yield the positions of the brackets with these ascending indices; chunks without any are only counted."""
    start, before, held = -_CHUNK_BYTES, 0, 0
    places: list[int] = []
    for index in indices:
        while index >= before + held:
            start += _CHUNK_BYTES
            before += held
            chunk = skeleton[start : start + _CHUNK_BYTES]
            held = len(chunk.translate(None, _NO_BRACKETS))
            places = []
        places = places or list(compress(count(start), chunk.translate(_IS_BRACKET)))
        yield places[index - before]
