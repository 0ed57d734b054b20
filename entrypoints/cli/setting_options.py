"""The settings as options of a command."""

from pathlib import Path
from typing import Any, get_args

import attrs
import click

from entrypoints.cli.options import complete_paths
from entrypoints.settings import Settings, explain, shown_name


def setting_options() -> list[click.Parameter]:
    """Return an option for every setting."""
    return [_option(field) for field in attrs.fields(Settings)]


def _option(field: "attrs.Attribute[Any]") -> click.Option:
    """Return the option of a setting. Its value is a text, so that all ways to set it are read alike."""
    name, is_flag = shown_name(field), field.type is bool
    default = "" if field.default is None else f"  [default: {f'no-{name}' if is_flag else field.default}]"
    return click.Option(
        [f"--{name}/--no-{name}" if is_flag else f"--{name}"],
        default=None,
        help=explain(field) + default,
        metavar=None if is_flag else "NUMBER" if field.type is int else "TEXT",
        shell_complete=complete_paths if _is_path(field) else None,
    )


def _is_path(field: "attrs.Attribute[Any]") -> bool:
    # The database is a text because it may also be a URL.
    return field.name == "db" or Path in get_args(field.type)
