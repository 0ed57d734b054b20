"""How much there is in a JSON text, told before anything is made of it."""

_NO_SEPARATORS = bytes(set(range(256)) - set(b",[{"))
_NO_SEPARATORS_OR_QUOTES = bytes(set(_NO_SEPARATORS) - set(b'"'))


UNCOUNTED_BYTES = 1024 * 1024
"""What a text of up to so many bytes becomes is bounded enough by its size; it need not be counted."""


def holds_more_values(body: bytes, limit: int) -> bool:
    """Whether a JSON text holds more values than this; an empty object or list counts as two.

    Decoding makes an object of every value, so a text of two-byte values becomes fifty times as large. Every value
    comes after a comma or an opening bracket. These are counted everywhere first, and outside texts only when that
    is too many. What is not JSON has any number of values.
    """
    if len(body.translate(None, _NO_SEPARATORS)) <= limit:
        return False
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in body else body
    skeleton = plain.translate(None, _NO_SEPARATORS_OR_QUOTES)
    # At most every second text is the key of a value, so the texts alone can be too many.
    if skeleton.count(b'"') // 4 > limit:
        return True
    return sum(map(len, skeleton.split(b'"')[::2])) > limit
