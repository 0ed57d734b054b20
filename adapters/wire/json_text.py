"""Any JSON text as plain values, however deeply it is nested."""

import json
import re
from typing import Final

from core.errors import RunsinkError
from core.rules import JSON_INTEGER_BOUND, MAX_JSON_DEPTH, MAX_JSON_INTEGER_DIGITS

LAYER_LEVELS: Final = MAX_JSON_DEPTH + 4
"""How many levels of a text are read when it is nested too deeply for the decoder.

A batch has two, the run in it one, and an object of that run may have ``MAX_JSON_DEPTH``. So what is left out lies in
an object that is one level too deep as it is, which the rules refuse, or in a value that is ignored whatever it is.
"""

# No part can give back what it has taken, so that no text takes more than one pass.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{]|[\]}]', re.DOTALL)


class NotJsonError(RunsinkError):
    """A body is not JSON (RFC 8259); the message says where."""


def decode_json(body: bytes) -> object:
    """Any JSON document, as plain values.

    NaN, Infinity, lone surrogates and numbers out of range are let through, for the rules to say where they stand. A
    document that is nested too deeply for the decoder is returned without what lies below ``LAYER_LEVELS``.

    Raises:
        NotJsonError: the body is not JSON, or not UTF-8.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJsonError(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    try:
        return _loads(text)
    except json.JSONDecodeError as error:
        raise NotJsonError(f"the body is not JSON: {error}") from None
    except RecursionError:
        return _decode_in_layers(text)


def _decode_in_layers(text: str) -> object:
    try:
        outermost, *_ = [_loads(layer) for layer in _layers(text)]
    except json.JSONDecodeError:
        raise NotJsonError("the body is not JSON, and nested too deeply to say where it is not") from None
    return outermost


def _layers(text: str) -> list[str]:
    """Cut a JSON text into texts of at most ``LAYER_LEVELS`` levels, the outermost of all first.

    A list or object that begins a layer is a text of its own and stands empty in the layer above, so that all of these
    texts are JSON exactly when the whole is. Where a decoder gives up differs with the version of Python and with the
    caller's stack; this needs no stack.
    """
    layers: list[str] = []
    unfinished: list[list[str]] = [[]]
    depth = begin = 0
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark in ("[", "{"):
            depth += 1
            if depth % LAYER_LEVELS == 0:
                unfinished[-1].append(text[begin : token.end()])
                unfinished.append([])
                begin = token.start()
        elif mark in ("]", "}"):
            if depth % LAYER_LEVELS == 0 and len(unfinished) > 1:
                layers.append("".join([*unfinished.pop(), text[begin : token.end()]]))
                begin = token.start()
            depth -= 1
    unfinished[-1].append(text[begin:])
    return [*map("".join, unfinished), *layers]


def _loads(text: str) -> object:
    return json.loads(text, parse_int=_parse_int)


def _parse_int(digits: str) -> int:
    """The integer, or another one that is refused as well when it is too long to convert in reasonable time."""
    return int(digits) if len(digits.removeprefix("-")) <= MAX_JSON_INTEGER_DIGITS else JSON_INTEGER_BOUND
