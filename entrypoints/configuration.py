"""Where settings come from: the configuration file, the environment and the command line.

Each value is checked where it is read, so that an error names its place.
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
    """Return the settings: an option beats a variable of the environment, and a variable beats the file.

    ``options`` is what the command line sets, by the names of ``Settings``. The file is the one that
    ``RUNSINK_CONFIG`` names, else ``runsink.toml`` in the working directory, if there is one.

    Raises:
        ValueError: a value is wrong, also one that is beaten; the message names its place and the setting.
    """
    return Settings(**{**_of_file(), **_of_environment(), **_of_command_line(options)})


def tokens_variable() -> str | None:
    """Return what the environment has of tokens; never an option, which everybody on the machine could see."""
    return os.environ.get(f"{_PREFIX}TOKENS")


def _of_file() -> dict[str, Any]:
    named = _variable(_FILE_VARIABLE)
    file = Path(named or _DEFAULT_FILE)
    with _located(str(file) if named is None else f"{file}, which {_FILE_VARIABLE} names"):
        try:
            text = file.read_bytes()
        except FileNotFoundError:
            if named is None:
                return {}
            raise ValueError("there is no such file") from None
        except OSError as error:
            raise ValueError(f"it cannot be read: {error.strerror}") from error
        return _of_table(_table(text), file.parent)


def _table(text: bytes) -> Mapping[str, object]:
    """Return the one table of a configuration file.

    Raises:
        ValueError: the file is not TOML, or has something beside the table.
    """
    try:
        document = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not a TOML file: {error}") from error
    table = document.pop(_TABLE, {})
    if document:
        outside = next(iter(document))
        raise ValueError(
            f"{outside!r} stands outside the table [{_TABLE}], which holds all settings; move or remove it"
        )
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
    """Return the value of a variable, or ``None`` where it is not set; raise ``ValueError`` for an empty one."""
    value = os.environ.get(name)
    if value == "":
        raise ValueError(f"{name} is empty; give it a value or unset it")
    return value


def _field_of(key: str) -> _Field:
    fields = attrs.fields_dict(Settings)
    found = fields.get(key.replace("-", "_"))
    if found is None:
        near = get_close_matches(key.replace("_", "-"), map(shown_name, fields.values()), 1)
        raise ValueError(f"{key!r} is not a setting" + (f"; did you mean {near[0]}?" if near else ""))
    return found


def _kind_of(field: _Field) -> type:
    """Return the type of a setting's value where it has one."""
    declared = (field.type, *get_args(field.type))
    return next(kind for kind in (bool, int, Path, str) if kind in declared)


def _of_toml(field: _Field, value: object) -> object:
    kind = _kind_of(field)
    wanted = str if kind is Path else kind
    if type(value) is not wanted:
        raise ValueError(f"{shown_name(field)} must be {_TOML_TYPES[wanted]}, not {_type_of(value)}")
    if isinstance(value, int) and value.bit_length() > 63:
        raise ValueError(f"{shown_name(field)} must be an integer of 64 bits, as everywhere in TOML")
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
    """Return a value of the right type as ``Settings`` takes it; the path of a file may be relative to a folder.

    Raises:
        ValueError: it breaks the rule of its setting, or is a text that no setting can have.
    """
    if isinstance(value, str) and _CONTROL_CHARACTER.search(value):
        raise ValueError(f"{shown_name(field)} must not hold control characters")
    if field.validator is not None:
        field.validator(None, field, value)
    return folder / str(value) if _kind_of(field) is Path else value


@contextmanager
def _located(place: str) -> Iterator[None]:
    """Say of every wrong value where it was found."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
