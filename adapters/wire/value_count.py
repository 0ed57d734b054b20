"""Counting the values in a JSON text without decoding it."""

_NO_SEPARATORS = bytes(set(range(256)) - set(b",[{"))
_NO_SEPARATORS_OR_QUOTES = bytes(set(_NO_SEPARATORS) - set(b'"'))


UNCOUNTED_BYTES = 1024 * 1024
"""Texts up to this size need no count: their size is bound enough."""


def holds_more_values(body: bytes, limit: int) -> bool:
    """Return whether a JSON text has more than ``limit`` values; an empty object or list counts as two.

    Decoding creates an object for every value, so a text of two-byte values grows fiftyfold. Every value follows a
    comma or an opening bracket. First count these everywhere and, only if there are too many, outside strings. The
    count of a text that is not JSON is arbitrary.
    """
    if len(body) <= limit or len(body.translate(None, _NO_SEPARATORS)) <= limit:
        return False
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in body else body
    skeleton = plain.translate(None, _NO_SEPARATORS_OR_QUOTES)
    # At most every second string is the key of a value, so the strings alone can be too many.
    if skeleton.count(b'"') // 4 > limit:
        return True
    return sum(map(len, skeleton.split(b'"')[::2])) > limit
