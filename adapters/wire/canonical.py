"""The canonical text of a JSON object."""

from typing import Any

import msgspec

from core.model.limits import MAX_JSON_CHARACTERS
from core.model.run import JsonText
from core.validation.fields import check_json_text

_encode = msgspec.json.Encoder(order="sorted").encode


def canonical_json(value: dict[str, Any]) -> JsonText:
    """Return the canonical text: keys sorted at every level, no whitespace, text as UTF-8, numbers in shortest form.

    The object must already be known to be JSON, from a decoder or ``core.validation.fields.parse_json_object``. Raises
    ``InvalidValueError`` if the text is too long.
    """
    text = JsonText(_encode(value), "utf-8")
    return text if len(text) <= MAX_JSON_CHARACTERS else check_json_text(text)
