"""A commented ``runsink.toml``."""

import json
from textwrap import wrap
from typing import Any, Final

import attrs

from entrypoints.cli.terminal import print_result
from entrypoints.settings import Settings, explain, shown_name

_COLUMNS: Final = 100
_SOURCES: Final = (
    "The settings of runsink serve. It reads runsink.toml in its working directory, or the file that RUNSINK_CONFIG "
    "names. A variable such as RUNSINK_PORT overrides this file, and an option such as --port overrides both."
)
_USE: Final = (
    "Every setting is shown with its default, or with an example if it has none. To set one, remove the # before it."
)


def print_example() -> None:
    """Print a ``runsink.toml`` that names every setting and sets none."""
    head = [*_comment(_SOURCES), "#", *_comment(_USE), "", "[runsink]"]
    print_result("\n".join([*head, *(line for field in attrs.fields(Settings) for line in _entry(field))]))


def _entry(field: "attrs.Attribute[Any]") -> list[str]:
    value = field.metadata["example"] if field.default is None else field.default
    return ["", *_comment(explain(field)), f"#{shown_name(field)} = {json.dumps(value, ensure_ascii=False)}"]


def _comment(text: str) -> list[str]:
    return wrap(text, _COLUMNS, initial_indent="# ", subsequent_indent="# ")
