"""Load settings from the configuration file, the environment and the command line.

Each value is validated where it is read, so that errors name its source.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeAlias, get_args

import attrs

from entrypoints.settings import Settings, shown_name

_PREFIX: Final = "RUNSINK_"
_FILE_VARIABLE: Final = f"{_PREFIX}CONFIG"
_DEFAULT_FILE: Final = "runsink.toml"
_TABLE: Final = "runsink"

_BOOLEANS: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), False),
}
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,1000}")
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_TOML_TYPES: Final[Mapping[type, str]] = {
    str: "a string",
    int: "an integer",
    bool: "a boolean",
    float: "a float",
    list: "an array",
    dict: "a table",
}

_Field: TypeAlias = "attrs.Attribute[Any]"


def load_settings(options: Mapping[str, str | bool]) -> Settings:
    """Return the settings: options override environment variables, which override the file.

    ``options`` holds the command-line options, keyed by the field names of ``Settings``. The file is the one named by
    ``RUNSINK_CONFIG``, else ``runsink.toml`` in the working directory, if it exists.

    Raises:
        ValueError: a value is invalid, even if overridden; the message names its source and the setting.
    """
    return Settings(**{**_of_file(), **_of_environment(), **_of_command_line(options)})


def tokens_variable() -> str | None:
    """Return the tokens in the environment; there is no option, which everybody on the machine could see."""
    return os.environ.get(f"{_PREFIX}TOKENS")


def _of_file() -> dict[str, Any]:
    named = _variable(_FILE_VARIABLE)
    file = Path(named or _DEFAULT_FILE)
    with _located(str(file) if named is None else f"{file} (from {_FILE_VARIABLE})"):
        try:
            text = file.read_bytes()
        except FileNotFoundError:
            if named is None:
                return {}
            raise ValueError("no such file") from None
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from error
        return _of_table(_table(text), file.parent)


def _table(text: bytes) -> Mapping[str, object]:
    """Return the only table of a configuration file.

    Raises:
        ValueError: the file is not TOML, or contains anything outside the table.
    """
    try:
        document = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not a TOML file: {error}") from error
    table = document.pop(_TABLE, {})
    if document:
        outside = next(iter(document))
        raise ValueError(f"{outside!r} is outside the table [{_TABLE}]; move it there or remove it")
    if type(table) is not dict:
        raise ValueError(f"{_TABLE} must be a table, not {_type_of(table)}")
    return table


def _of_table(table: Mapping[str, object], folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in table.items():
        field = _field_of(key)
        if field.name in values:
            raise ValueError(f"{shown_name(field)} is set twice, as {shown_name(field)} and as {field.name}")
        values[field.name] = _checked(field, _of_toml(field, value), folder)
    return values


def _of_environment() -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in attrs.fields(Settings):
        name = f"{_PREFIX}{field.name.upper()}"
        text = _variable(name)
        if text is not None:
            with _located(name):
                values[field.name] = _checked(field, _of_text(field, text))
    return values


def _of_command_line(options: Mapping[str, str | bool]) -> dict[str, Any]:
    fields = attrs.fields_dict(Settings)
    values: dict[str, Any] = {}
    for name, given in options.items():
        field = fields[name]
        with _located(f"--{shown_name(field)}"):
            values[name] = _checked(field, given if isinstance(given, bool) else _of_text(field, given))
    return values


def _variable(name: str) -> str | None:
    """Return the value of a variable, or ``None`` if unset; raise ``ValueError`` if empty."""
    value = os.environ.get(name)
    if value == "":
        raise ValueError(f"{name} is empty; set a value or unset it")
    return value


def _field_of(key: str) -> _Field:
    fields = attrs.fields_dict(Settings)
    found = fields.get(key.replace("-", "_"))
    if found is None:
        near = get_close_matches(key.replace("_", "-"), map(shown_name, fields.values()), 1)
        raise ValueError(f"unknown setting {key!r}" + (f"; did you mean {near[0]}?" if near else ""))
    return found


def _kind_of(field: _Field) -> type:
    """Return the type of a setting's value, ``None`` aside."""
    declared = (field.type, *get_args(field.type))
    return next(kind for kind in (bool, int, Path, str) if kind in declared)


def _of_toml(field: _Field, value: object) -> object:
    kind = _kind_of(field)
    wanted = str if kind is Path else kind
    if type(value) is not wanted:
        raise ValueError(f"{shown_name(field)} must be {_TOML_TYPES[wanted]}, not {_type_of(value)}")
    if isinstance(value, int) and value.bit_length() > 63:
        raise ValueError(f"{shown_name(field)} must be a 64-bit integer, as in TOML")
    return value


def _type_of(value: object) -> str:
    return _TOML_TYPES.get(type(value), "a date or a time")


def _of_text(field: _Field, text: str) -> object:
    kind = _kind_of(field)
    if kind is bool:
        if text.lower() not in _BOOLEANS:
            raise ValueError(f"{shown_name(field)} must be true or false, not {text!r}")
        return _BOOLEANS[text.lower()]
    if kind is int:
        if not _WHOLE_NUMBER.fullmatch(text):
            raise ValueError(f"{shown_name(field)} must be a whole number, not {text!r}")
        return int(text)
    return text


def _checked(field: _Field, value: object, folder: Path = Path()) -> object:
    """Return a valid value for ``Settings``; resolve a file path relative to ``folder``.

    Raises:
        ValueError: the value breaks its setting's rule, or contains control characters.
    """
    if isinstance(value, str) and _CONTROL_CHARACTER.search(value):
        raise ValueError(f"{shown_name(field)} must not contain control characters")
    if field.validator is not None:
        field.validator(None, field, value)
    return folder / str(value) if _kind_of(field) is Path else value


@contextmanager
def _located(place: str) -> Iterator[None]:
    """Prefix every ``ValueError`` with the value's source."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
