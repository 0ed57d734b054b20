"""The one text of a JSON object."""

from typing import Any

import msgspec

from core.model.run import JsonText
from core.validation.fields import check_json_text

_encode = msgspec.json.Encoder(order="sorted").encode


def canonical_json(value: dict[str, Any]) -> JsonText:
    """Keys sorted at every level, no blanks, text as UTF-8, each number in its shortest form.

    The object has been found to be JSON before, by a decoder or by ``core.validation.fields.parse_json_object``. Raises
    ``InvalidValueError`` when the text is too long.
    """
    return check_json_text(JsonText(_encode(value), "utf-8"))
