"""Decoding any JSON text to plain values, however deeply nested."""

import json

from adapters.wire.nesting import cut_nesting
from core.errors import RunsinkError
from core.model.limits import MAX_JSON_INTEGER_DIGITS
from core.validation.fields import JSON_INTEGER_BOUND


class NotJsonError(RunsinkError):
    """A body is not JSON (RFC 8259); ``reason`` completes the sentence that begins with what it is, and says where."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the body {reason}")
        self.reason = reason


class NotUtf8Error(RunsinkError):
    """A line of a stream is not UTF-8, so what follows it cannot be trusted either."""

    def __init__(self, line: int, error: UnicodeDecodeError) -> None:
        super().__init__(f"line {line} is not UTF-8: {error.reason} at byte {error.start} of the line")
        self.line = line


def decode_json(body: bytes) -> object:
    """Decode any JSON document to plain values.

    NaN, Infinity, lone surrogates and numbers out of range pass, so that the rules can report where they are. A
    document that is nested too deeply for the decoder loses its deepest levels (``cut_nesting``).

    Raises:
        NotJsonError: the body is not JSON, or not UTF-8.
    """
    try:
        return _loads(body)
    except UnicodeDecodeError as error:
        raise NotJsonError(f"is not UTF-8: {error.reason} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise NotJsonError(f"is not JSON: {error}") from None
    except RecursionError:
        return _decode_cut(cut_nesting(body))


def encode_json(value: object) -> bytes:
    """Write what ``decode_json`` returned as text again, on one line; empty if it holds what cannot be written."""
    try:
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")
    except (ValueError, RecursionError):
        return b""


def _decode_cut(body: bytes) -> object:
    try:
        return _loads(body)
    except json.JSONDecodeError:
        raise NotJsonError("is not JSON; it is nested too deeply to say where") from None


def _loads(body: bytes) -> object:
    return json.loads(body.decode("utf-8"), parse_int=_parse_int)


def _parse_int(digits: str) -> int:
    """Convert an integer. One too long to convert in reasonable time becomes another that is rejected as well."""
    return int(digits) if len(digits.removeprefix("-")) <= MAX_JSON_INTEGER_DIGITS else JSON_INTEGER_BOUND
