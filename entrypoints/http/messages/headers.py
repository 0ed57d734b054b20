"""Parse the client's preferences: ``Prefer`` and ``Accept-Encoding``."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from aiohttp import web

# A comma inside a quoted string does not end an element (RFC 9110, sections 5.6.1 and 5.6.4). An unclosed quote
# extends to the end, so that matching is linear.
_ELEMENT = re.compile(r'(?:"(?:\\.|[^"\\])*"?|[^",])+')
NDJSON_TYPES = ("application/x-ndjson", "application/jsonl")

_WEIGHT = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.ASCII | re.IGNORECASE)


def prefers_minimal(request: web.Request) -> bool:
    """Return whether the client asked for ``return=minimal`` (RFC 7240, section 4.2)."""
    # The first of several preferences of one name counts (RFC 7240, section 2).
    return next((value for name, value in _preferences(request) if name == "return"), "") == "minimal"


def prefers_async(request: web.Request) -> bool:
    """Return whether the client asked for ``respond-async`` (RFC 7240, section 4.1)."""
    return any(name == "respond-async" for name, _ in _preferences(request))


def accepts_ndjson(request: web.Request) -> bool:
    """Return whether the client asked for newline-delimited JSON, by name."""
    accepted = ",".join(request.headers.getall("Accept", ())).lower().split(",")
    return any(element.partition(";")[0].strip() in NDJSON_TYPES for element in accepted)


def _preferences(request: web.Request) -> Iterator[tuple[str, str]]:
    return map(_preference, _ELEMENT.findall(",".join(request.headers.getall("Prefer", ()))))


def _preference(text: str) -> tuple[str, str]:
    name, _, value = text.partition(";")[0].partition("=")
    return name.strip().lower(), value.strip().strip('"').lower()


@lru_cache(maxsize=64)  # Clients send few distinct values, the same with every request.
def preferred_coding(accept_encoding: str, codings: Sequence[str]) -> str | None:
    """Return the coding that the client prefers, the first of equals; ``None`` if it prefers no coding.

    See RFC 9110, section 12.5.3. Malformed elements are ignored.
    """
    weights: dict[str, float] = {}
    for element in accept_encoding.lower().split(","):
        name, _, parameter = (part.strip() for part in element.partition(";"))
        weight = _WEIGHT.fullmatch(parameter or "q=1")
        if weight:
            weights[name] = float(weight[1])
    rest = weights.get("*", 0.0)
    best = max(codings, key=lambda coding: weights.get(coding, rest))
    weight_of_best = weights.get(best, rest)
    return best if weight_of_best > 0 and weight_of_best >= weights.get("identity", 0.0) else None
