"""What ``runsink settings`` does."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import attrs

from entrypoints.cli.options import load_or_end
from entrypoints.cli.terminal import print_result
from entrypoints.configuration import DEFAULT, TOKENS_SOURCE, Loaded, Source, tokens_variable
from entrypoints.exits import WRONG_USAGE, end_with, printable
from entrypoints.http.guard.access import build_access
from entrypoints.settings import Settings, shown_name


class _Row(NamedTuple):
    """A setting in a form safe to show."""

    name: str
    value: str | int | bool | None
    source: Source

    def describe(self) -> str:
        """Return the value as it is written in the file, but for the quotes."""
        if self.value is None:
            return "(not set)"
        return str(self.value).lower() if isinstance(self.value, bool) else printable(self.value)


def show_settings(options: Mapping[str, str | bool | None], *, as_json: bool) -> None:
    """Print the settings in force with these options; end with 2 if ``serve`` would not start with them."""
    loaded = load_or_end(options)
    rows = [*_rows(loaded), _tokens_row()]
    print_result(_as_json(rows) if as_json else _as_text(rows))
    _check_together(loaded.settings)


def _rows(loaded: Loaded) -> Iterator[_Row]:
    for field in attrs.fields(Settings):
        value = _shown(field, getattr(loaded.settings, field.name))
        yield _Row(shown_name(field), value, loaded.sources[field.name])


def _shown(field: "attrs.Attribute[Any]", value: Any) -> str | int | bool | None:
    """Return a value without its secrets, which are what its ``repr`` leaves out."""
    if callable(field.repr):
        return field.repr(value)
    return value if isinstance(value, (bool, int)) or value is None else str(value)


def _tokens_row() -> _Row:
    is_set = tokens_variable() is not None
    return _Row("tokens", "set" if is_set else None, TOKENS_SOURCE if is_set else DEFAULT)


def _as_json(rows: list[_Row]) -> str:
    return json.dumps(
        {row.name: {"value": row.value, "source": row.source.kind, "name": row.source.name} for row in rows}
    )


def _as_text(rows: list[_Row]) -> str:
    cells = [[row.name, row.describe(), printable(row.source)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _check_together(settings: Settings) -> None:
    """End with 2, as ``serve`` would, if settings that are valid alone do not go together."""
    try:
        build_access(settings, tokens_variable())
    except (OSError, UnicodeError):
        # The host has no address on this machine, which is not a matter of the settings.
        return
    except ValueError as error:
        end_with(error, WRONG_USAGE)
