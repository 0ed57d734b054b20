"""The canonical text of a JSON object."""

from typing import Any

import msgspec

from core.model.limits import MAX_JSON_CHARACTERS, MAX_JSON_DEPTH
from core.model.run import JsonText
from core.validation.fields import check_json_text, parse_json_object

_encode = msgspec.json.Encoder(order="sorted").encode


def canonical_json(value: dict[str, Any]) -> JsonText:
    """Return the canonical text: keys sorted at every level, no whitespace, text as UTF-8, numbers in shortest form.

    The object must already be known to be JSON, from a decoder or ``core.validation.fields.parse_json_object``. Raises
    ``InvalidValueError`` if the text is too long.
    """
    text = JsonText(_encode(value), "utf-8")
    return text if len(text) <= MAX_JSON_CHARACTERS else check_json_text(text)


def canonical_object(value: dict[str, Any]) -> JsonText:
    """Do the same for an object of which everything is known to be JSON but how deeply it is nested."""
    text = canonical_json(value)
    # Every level has two brackets, so a short text needs no count.
    if len(text) > 2 * MAX_JSON_DEPTH and text.count("{") + text.count("[") > MAX_JSON_DEPTH:
        parse_json_object(value)
    return text
