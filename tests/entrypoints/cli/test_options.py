"""Options that several commands share."""

from pathlib import Path

import click
import pytest

from entrypoints.cli.options import database_option


@click.command()
@database_option()
def command(db: str) -> str:
    """Return the database that a command gets."""
    return db


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, without a configuration."""
    monkeypatch.chdir(tmp_path)
    for name in ("RUNSINK_DB", "RUNSINK_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_database_is_that_of_serve(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option, else the variable, else the file, else the default."""
    assert command([], standalone_mode=False) == "./runsink.db"
    (folder / "runsink.toml").write_text('[runsink]\ndb = "file.db"\n')
    assert command([], standalone_mode=False) == "file.db"
    monkeypatch.setenv("RUNSINK_DB", "variable.db")
    assert command([], standalone_mode=False) == "variable.db"
    assert command(["--db", "option.db"], standalone_mode=False) == "option.db"


def test_wrong_configuration_matters_only_if_it_is_needed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the option it ends the command with 2; help and a given database need none of it."""
    (folder / "runsink.toml").write_text("[runsink")
    assert command(["--db", "option.db"], standalone_mode=False) == "option.db"
    command(["--help"], standalone_mode=False)
    with pytest.raises(SystemExit) as caught:
        command([], standalone_mode=False)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("runsink: runsink.toml: not a TOML file")
