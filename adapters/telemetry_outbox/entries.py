"""The lines of an outbox file as requests.

    {"endpoint": "/api/v1/runs", "method": "POST", "payload": {…}, "timestamp": 1795488815.23}

``endpoint`` may be a whole URL, of which only the path counts. A client that was killed leaves half a line, to which
the next one appends its own.
"""

import json
import re
from enum import Enum, auto
from typing import Any, Final
from urllib.parse import quote, unquote

import attrs

_RUNS: Final = "/api/v1/runs"
_ENDPOINT = re.compile(rf"(?:https?://[^/?#]*)?[^?#]*?(?P<path>{_RUNS}(?:/[^?#]*)?)", re.IGNORECASE)
_SUBJECT = re.compile(rf"{_RUNS}/(?P<event_id>.+?)(?P<commit>/associate-commit)?/?")
_BATCHES: Final = (f"{_RUNS}/batch", f"{_RUNS}/batch-transactional")
_BEGINNING = re.compile(rb'\{\s*"(?:endpoint|method|payload|timestamp)"\s*:')


class Kind(Enum):
    """What an entry asks for."""

    CREATION = auto()
    BATCH = auto()
    CHANGE = auto()


@attrs.frozen
class Entry:
    """A request as the server gets it; ``event_id`` names the run it is about, unless it is a batch."""

    raw: bytes
    kind: Kind
    method: str
    path: str
    payload: dict[str, Any]
    event_id: str | None


@attrs.frozen
class Unreadable:
    """Something that is no request, and why."""

    raw: bytes
    reason: str


def parse_line(line: bytes) -> tuple[Entry | Unreadable, ...]:
    """Return the entry of a line; of a line that begins with half an entry, that half and what follows; or nothing."""
    text = line.strip()
    if not text:
        return ()
    try:
        return (_parse_entry(text),)
    except ValueError as error:
        whole = Unreadable(text, str(error))
    for beginning in _BEGINNING.finditer(text, 1):
        try:
            entry = _parse_entry(text[beginning.start() :])
        except ValueError:
            continue
        half = Unreadable(text[: beginning.start()], "cut off, and followed by another entry")
        return (half, entry)
    return (whole,)


def _parse_entry(text: bytes) -> Entry:
    """Return the entry; raise ``ValueError`` for what is none."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON, perhaps cut off: {error}") from None
    if not isinstance(document, dict):
        raise ValueError("an entry must be a JSON object")  # noqa: TRY004 - the caller takes one kind of error
    endpoint, method, payload = (document.get(name) for name in ("endpoint", "method", "payload"))
    if not (isinstance(endpoint, str) and isinstance(method, str)):
        raise ValueError("an entry needs an endpoint and a method")  # noqa: TRY004 - as above
    if not isinstance(payload, dict):
        raise ValueError("the payload must be a JSON object")  # noqa: TRY004 - as above
    return _interpret(text, endpoint, method.upper(), payload)


def _interpret(text: bytes, endpoint: str, method: str, payload: dict[str, Any]) -> Entry:
    found = _ENDPOINT.fullmatch(endpoint.strip())
    path = found["path"].rstrip("/") if found else ""
    if method == "POST" and path == _RUNS:
        event_id = payload.get("event_id")
        return Entry(text, Kind.CREATION, method, path, payload, event_id if isinstance(event_id, str) else None)
    if method == "POST" and path in _BATCHES:
        return Entry(text, Kind.BATCH, method, path, payload, None)
    subject = _SUBJECT.fullmatch(path)
    if subject and method == ("POST" if subject["commit"] else "PATCH"):
        event_id = unquote(subject["event_id"])
        path = f"{_RUNS}/{quote(event_id, safe='')}{subject['commit'] or ''}"
        return Entry(text, Kind.CHANGE, method, path, payload, event_id)
    raise ValueError(f"{method} {endpoint} is not a request that waits in an outbox")
