"""JSON texts that are nested too deeply for a decoder."""

import json

import pytest

from adapters.wire.json_text import NotJsonError, decode_json
from adapters.wire.nesting import KEPT_LEVELS, MAX_LEVELS, cut_nesting

DEPTH = 200_000


def nested(depth: int, inside: str = "", opening: str = "[", closing: str = "]") -> bytes:
    """Return a text with this many levels."""
    return (opening * depth + inside + closing * depth).encode()


def depth_of(value: object) -> int:
    """Return the number of levels of nested lists and objects with one value each."""
    depth = 0
    while isinstance(value, list | dict):
        depth += 1
        value = next(iter(value.values() if isinstance(value, dict) else value), None)
    return depth


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('{"]}\\"":[', "]}"), ('["}",', "]")])
def test_what_is_too_deep_is_left_out_and_is_still_too_deep(opening: str, closing: str) -> None:
    """Of a text of any depth, more levels are decoded than any rule allows."""
    body = nested(DEPTH, "1" if opening != "[" else "", opening, closing)
    assert depth_of(decode_json(body.replace(b'["}",', b"["))) == KEPT_LEVELS


def test_what_stands_beside_it_is_read() -> None:
    """Everything before and after the deep part is decoded as sent."""
    around = b'{"before":["[",{"a":1}],"deep":' + nested(DEPTH) + b',"behind":["\\\\",[],"]"]}'
    document = decode_json(around)
    assert isinstance(document, dict)
    assert (document["before"], document["behind"]) == (["[", {"a": 1}], ["\\", [], "]"])


@pytest.mark.parametrize(
    "body",
    [
        nested(DEPTH)[:-1],
        nested(DEPTH) + b"]",
        nested(DEPTH, "["),
        nested(DEPTH, '"'),
        nested(DEPTH, '"\\'),
        nested(DEPTH, "1", '{"a":', "]"),
        b"]" * DEPTH + b"[" * DEPTH,
    ],
    ids=range(7),
)
def test_what_is_no_json_is_refused_at_any_depth(body: bytes) -> None:
    """Missing or extra brackets and quotes make the body invalid, wherever they are."""
    with pytest.raises(NotJsonError):
        decode_json(body)


@pytest.mark.parametrize("depth", [1, KEPT_LEVELS, KEPT_LEVELS + 1, MAX_LEVELS])
def test_what_is_not_too_deep_is_not_cut(depth: int) -> None:
    """Only values with too many levels are emptied, not their siblings."""
    assert cut_nesting(nested(depth)) == nested(depth)
    beside = nested(depth - 1)
    deep, emptied = nested(MAX_LEVELS), nested(KEPT_LEVELS - 1)
    assert cut_nesting(b"[" + deep + b"," + beside + b"]") == b"[" + emptied + b"," + beside + b"]"


@pytest.mark.parametrize("length", [0, 1, 65_000, 65_535, 65_536, 65_537, 200_000])
def test_any_number_of_cuts_at_any_place(length: int) -> None:
    """Several deep parts, anywhere in a text, are each emptied."""
    between = b',"' + b"[" * length + b'",'
    parts = [nested(MAX_LEVELS + number) for number in range(4)]
    expected = between.join([nested(KEPT_LEVELS - 1)] * len(parts))
    assert cut_nesting(b"[" + between.join(parts) + b"]") == b"[" + expected + b"]"


@pytest.mark.parametrize("depth", [1, KEPT_LEVELS - 1, KEPT_LEVELS, KEPT_LEVELS + 1, 500])
def test_what_a_decoder_takes_is_read_whole(depth: int) -> None:
    """Nothing is removed from a text that can be decoded."""
    assert decode_json(nested(depth)) == json.loads(nested(depth))
