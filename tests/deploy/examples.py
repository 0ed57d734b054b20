"""The examples of deployment, and what holds them to the code."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import click
import pytest

from entrypoints.cli import COMMANDS
from entrypoints.configuration import load_settings
from entrypoints.settings import Settings

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
DEFAULT_PORT = str(Settings().port)
TOKENS = "writer write writer-0123456789abcdef\n"


def settings_of(environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, directory: Path) -> Settings:
    """Return the settings of a server with these variables; fail if a variable of ours is none of its settings."""
    ours = {name: value for name, value in environment.items() if name.startswith("RUNSINK_")}
    known = {f"RUNSINK_{name.upper()}" for name in attrs.fields_dict(Settings)}
    assert ours.keys() <= known
    with monkeypatch.context() as patch:
        patch.chdir(directory)
        for name in [name for name in os.environ if name.startswith("RUNSINK_")]:
            patch.delenv(name)
        for name, value in ours.items():
            patch.setenv(name, value)
        return load_settings({}).settings


def check_command(arguments: Sequence[str]) -> None:
    """Fail unless these arguments of ``runsink`` name a command, and options and arguments that it has."""
    name, *rest = arguments
    command = COMMANDS[name].load()
    known = {option for part in command.params if isinstance(part, click.Option) for option in part.opts}
    assert {argument.partition("=")[0] for argument in rest if argument.startswith("--")} <= known
    # Parsed as the command line would be: an option without its value, or an argument too many, ends it.
    command.parse_args(click.Context(command), rest)
