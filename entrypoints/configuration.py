"""Load settings from the configuration file, the environment and the command line.

Each value is validated where it is read, so that errors name its source.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import attrs

from entrypoints.settings import Settings, kind_of, shown_name

_PREFIX: Final = "RUNSINK_"
_FILE_VARIABLE: Final = f"{_PREFIX}CONFIG"
_TOKENS_VARIABLE: Final = f"{_PREFIX}TOKENS"
_DEFAULT_FILE: Final = "runsink.toml"
_TABLE: Final = "runsink"
_OTHER_VARIABLES: Final = frozenset(
    f"{_PREFIX}{name}"
    for name in (
        "CONFIG",
        "TOKENS",
        "TOKEN",  # of clients
        "URL",  # of clients
        "TEST_POSTGRES",  # of the tests
    )
)

# What Kubernetes sets in every Pod for a Service whose name is or begins with "runsink":
# https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_SERVICE_LINK: Final = re.compile(
    rf"{_PREFIX}(?:[A-Z0-9_]+_)?"
    r"(?:SERVICE_(?:HOST|PORT(?:_[A-Z0-9_]+)?)|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS: Final = re.compile(r"(?:tcp|udp|sctp)://")

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


@attrs.frozen
class Source:
    """Where a value comes from: the path of the file, the name of the variable or of the option."""

    kind: Literal["default", "file", "variable", "option"]
    name: str | None = None

    def __str__(self) -> str:
        return self.name or self.kind


DEFAULT: Final = Source("default")
TOKENS_SOURCE: Final = Source("variable", _TOKENS_VARIABLE)


@attrs.frozen
class Loaded:
    """The settings in force, and where each comes from, by field name."""

    settings: Settings
    sources: Mapping[str, Source]


_Layer: TypeAlias = dict[str, tuple[Any, Source]]
"""The values of one kind of source, by field name."""


def load_settings(options: Mapping[str, str | bool]) -> Loaded:
    """Return the settings: options override environment variables, which override the file.

    ``options`` holds the command-line options, keyed by the field names of ``Settings``. The file is the one named by
    ``RUNSINK_CONFIG``, else ``runsink.toml`` in the working directory, if it exists.

    Raises:
        ValueError: a value is invalid, even if overridden, or a name is unknown; the message names its source.
    """
    given = {**_of_file(), **_of_environment(), **_of_command_line(options)}
    return Loaded(
        Settings(**{name: value for name, (value, _) in given.items()}),
        {field.name: given[field.name][1] if field.name in given else DEFAULT for field in attrs.fields(Settings)},
    )


def variable_name(field: _Field) -> str:
    """Return the name of a setting's environment variable."""
    return f"{_PREFIX}{field.name.upper()}"


def tokens_variable() -> str | None:
    """Return the tokens in the environment; there is no option, which everybody on the machine could see."""
    return os.environ.get(_TOKENS_VARIABLE)


def _of_file() -> _Layer:
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
        values = _of_table(_table(text), file.parent)
    source = Source("file", str(file.absolute()))
    return {name: (value, source) for name, value in values.items()}


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


def _of_environment() -> _Layer:
    variables = {variable_name(field): field for field in attrs.fields(Settings)}
    _check_names(variables)
    values: _Layer = {}
    for name, field in variables.items():
        text = _variable(name)
        if text is not None:
            with _located(name):
                values[field.name] = _checked(field, _of_variable(field, text)), Source("variable", name)
    return values


def _check_names(variables: Iterable[str]) -> None:
    """Raise ``ValueError`` for a variable that looks like a setting and is none."""
    known = {*variables, *_OTHER_VARIABLES}
    for name in sorted(os.environ.keys() - known):
        if name.startswith(_PREFIX) and not _is_service_link(name, os.environ[name]):
            # Without the prefix, which would make every two of them alike.
            others = [other.removeprefix(_PREFIX) for other in known]
            near = get_close_matches(name.removeprefix(_PREFIX).upper(), others, 1)
            hint = f"did you mean {_PREFIX}{near[0]}?" if near else f"unset it; {_PREFIX}… is for settings"
            raise ValueError(f"unknown variable {name}; {hint}")


def _is_service_link(name: str, text: str) -> bool:
    return _SERVICE_LINK.fullmatch(name) is not None or _is_service_address(name, text)


def _is_service_address(name: str, text: str) -> bool:
    return name.endswith("_PORT") and _SERVICE_ADDRESS.match(text) is not None


def _of_variable(field: _Field, text: str) -> object:
    if _is_service_address(variable_name(field), text):
        raise ValueError(
            f"{text!r} is the address of a Kubernetes Service; set enableServiceLinks: false in the Pod's spec, or "
            "rename the Service"
        )
    return _of_text(field, text)


def _of_command_line(options: Mapping[str, str | bool]) -> _Layer:
    fields = attrs.fields_dict(Settings)
    values: _Layer = {}
    for name, given in options.items():
        field = fields[name]
        option = f"--{'no-' if given is False else ''}{shown_name(field)}"
        with _located(option):
            value = _checked(field, given if isinstance(given, bool) else _of_text(field, given))
        values[name] = value, Source("option", option)
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


def _of_toml(field: _Field, value: object) -> object:
    kind = kind_of(field)
    wanted = str if kind is Path else kind
    if type(value) is not wanted:
        raise ValueError(f"{shown_name(field)} must be {_TOML_TYPES[wanted]}, not {_type_of(value)}")
    if isinstance(value, int) and value.bit_length() > 63:
        raise ValueError(f"{shown_name(field)} must be a 64-bit integer, as in TOML")
    return value


def _type_of(value: object) -> str:
    return _TOML_TYPES.get(type(value), "a date or a time")


def _of_text(field: _Field, text: str) -> object:
    kind = kind_of(field)
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
    return folder / str(value) if kind_of(field) is Path else value


@contextmanager
def _located(place: str) -> Iterator[None]:
    """Prefix every ``ValueError`` with the value's source."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
