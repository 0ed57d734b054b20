"""The one text of a JSON object."""

from typing import Any

import msgspec

from core.run import JsonText

_encode = msgspec.json.Encoder(order="sorted").encode


def canonical_json(value: dict[str, Any]) -> JsonText:
    """Keys sorted at every level, no blanks, text as UTF-8, each number in its shortest form.

    The object has been found to be JSON before, by a decoder or by ``core.rules.check_json_object``.
    """
    return JsonText(_encode(value), "utf-8")
