"""Leaving out attributes that are too long to keep."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from adapters.wire.otlp.spans import Attributes, Origin, Span, UndecodableSpanError
from adapters.wire.otlp.table import context_of
from core.model.limits import MAX_JSON_CHARACTERS

_LEAST_WORTH: Final = 100
"""Attributes up to so many characters are kept: a marker would save nothing worth a warning."""


def marker(characters: int) -> str:
    """Return what stands in the place of an attribute whose JSON has so many characters."""
    return f"[left out: {characters} characters]"


def shorten_resource(resource: Attributes, most: int) -> list[str]:
    """Leave out the longest attributes of a resource until it has ``most`` characters; return their names.

    Raises:
        UndecodableSpanError: it is longer without them.
    """
    return _shorten_shared([resource], resource, most)


def shorten_scope(origin: Origin, most: int) -> list[str]:
    """Do the same with the attributes of a scope, until it has ``most`` characters together with its resource."""
    return _shorten_shared([origin.scope["attributes"]], [origin.resource, origin.scope], most)


def shorten_span(span: Span, origin: Origin) -> list[str]:
    """Leave out the longest attributes until the span fits into a JSON field; return their names."""
    holders = [span.attributes, *(event.attributes for event in span.events), *(link.attributes for link in span.links)]
    return _shorten(holders, context_of(span, origin.resource, origin.scope), MAX_JSON_CHARACTERS)


def _shorten_shared(holders: list[Attributes], whole: object, most: int) -> list[str]:
    names = _shorten(holders, whole, most)
    if _length(whole) > most:
        raise UndecodableSpanError(f"has a resource and a scope of over {most} characters, too many for every span")
    return names


def _shorten(holders: list[Attributes], whole: object, most: int) -> list[str]:
    excess = _length(whole) - most
    names = []
    if excess > 0:
        for length, name, holder in sorted(_lengths(holders), key=lambda found: -found[0]):
            if excess <= 0:
                break
            holder[name] = marker(length)
            excess -= length - len(marker(length)) - 2
            names.append(name)
    return names


def _lengths(holders: list[Attributes]) -> Iterator[tuple[int, str, Attributes]]:
    for holder in holders:
        for name, value in holder.items():
            length = _length(value)
            if length > _LEAST_WORTH:
                yield length, name, holder


def _length(value: Any) -> int:
    """Return the characters of the JSON of a value."""
    return len(msgspec.json.encode(value).decode())
