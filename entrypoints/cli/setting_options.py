"""The settings as options of a command."""

from pathlib import Path
from typing import Any

import attrs
import click

from entrypoints.cli.options import complete_paths
from entrypoints.settings import Settings, explain, kind_of, shown_name


def setting_options() -> list[click.Parameter]:
    """Return an option for every setting."""
    return [_option(field) for field in attrs.fields(Settings)]


def _option(field: "attrs.Attribute[Any]") -> click.Option:
    """Return the option of a setting. Its value is a text, so that all ways to set it are read alike."""
    name, kind = shown_name(field), kind_of(field)
    is_flag = kind is bool
    default = "" if field.default is None else f"  [default: {f'no-{name}' if is_flag else field.default}]"
    # The database is a text because it may also be a URL.
    names_file = kind is Path or field.name == "db"
    return click.Option(
        [f"--{name}/--no-{name}" if is_flag else f"--{name}"],
        default=None,
        help=explain(field) + default,
        metavar=None if is_flag else "NUMBER" if kind is int else "TEXT",
        shell_complete=complete_paths if names_file else None,
    )
