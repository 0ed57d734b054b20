"""The units agree with the code, and systemd accepts them."""

import re
import shlex
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from entrypoints.exits import WRONG_USAGE
from entrypoints.settings import Settings
from tests.deploy.examples import DEPLOY, ROOT, check_command, settings_of
from tests.servers import DEADLINE_SECONDS, RUNSINK

UNITS = DEPLOY / "systemd"
SERVICE, BACKUP, TIMER = (
    UNITS / name for name in ("runsink.service", "runsink-backup.service", "runsink-backup.timer")
)
PROGRAM = "/opt/runsink/bin/runsink"
SPECIFIERS = {"S": "/var/lib", "d": "/run/credentials", "%": "%"}
HIGHEST_EXPOSURE = 2.0
"""Of 10. The weights differ between the versions of systemd."""

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed, so the units are not verified"
)


def directives(unit: Path) -> dict[str, list[str]]:
    """Return the values of each directive of a unit, in order; specifiers are replaced as for a system service."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in unit.read_text("utf-8").splitlines():
        name, is_directive, value = line.partition("=")
        if is_directive and not line.startswith("#"):
            found[name].append(re.sub("%(.)", lambda match: SPECIFIERS[match[1]], value))
    return found


def environment(unit: Path) -> dict[str, str]:
    """Return the variables of a service."""
    return dict(pair.split("=", 1) for value in directives(unit)["Environment"] for pair in shlex.split(value))


def installed(unit: Path, directory: Path) -> Path:
    """Return a copy of a unit that starts the command of this environment, which exists."""
    copy = directory / unit.name
    copy.write_text(unit.read_text("utf-8").replace(PROGRAM, str(RUNSINK)), "utf-8")
    return copy


def analyze(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run ``systemd-analyze``, which prints what is wrong to stderr."""
    command = ["systemd-analyze", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)


@pytest.mark.parametrize("unit", [SERVICE, BACKUP], ids=lambda unit: unit.name)
def test_services_run_commands_that_exist(unit: Path) -> None:
    """With options that they have."""
    lines = [line for line in directives(unit)["ExecStart"] if PROGRAM in line]
    assert lines
    for line in lines:
        words = shlex.split(line)
        # A shell gets its command as one word.
        words = shlex.split(words[2].removeprefix("exec ")) if words[0] == "/bin/sh" else words
        assert words[0] == PROGRAM
        check_command(words[1:])


@pytest.mark.parametrize("unit", [SERVICE, BACKUP], ids=lambda unit: unit.name)
def test_services_keep_the_database_in_their_state_directory(
    unit: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Both the same, as the same user: a file that another user creates beside it would stop the server."""
    settings = settings_of(environment(unit), monkeypatch, tmp_path)
    assert settings.db == "/var/lib/runsink/runsink.db"
    assert "runsink" in directives(unit)["StateDirectory"][0].split()
    assert directives(unit)["User"] == ["runsink"]
    assert re.search(r"^u runsink ", (UNITS / "runsink.sysusers").read_text("utf-8"), re.MULTILINE)


def test_server_may_drain_and_is_not_restarted_in_vain() -> None:
    """Systemd waits longer than the server does, and a wrong setting is not tried again and again."""
    found = directives(SERVICE)
    assert int(found["TimeoutStopSec"][0]) > Settings().drain_seconds + 1
    assert found["RestartPreventExitStatus"] == [str(WRONG_USAGE)]


def test_server_reads_the_credential_that_is_loaded() -> None:
    """Under the name that it has there."""
    found = directives(SERVICE)
    name = found["LoadCredential"][0].partition(":")[0]
    assert f"--token-file /run/credentials/{name}" in found["ExecStart"][0]


@needs_systemd
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """Without a warning."""
    units = [installed(unit, tmp_path) for unit in (SERVICE, BACKUP, TIMER)]
    verified = analyze("verify", "--man=no", *units)
    assert (verified.returncode, verified.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("unit", [SERVICE, BACKUP], ids=lambda unit: unit.name)
def test_services_are_hardened(unit: Path) -> None:
    """Systemd rates their exposure as low."""
    rated = analyze("security", "--offline=true", f"--threshold={round(HIGHEST_EXPOSURE * 10)}", unit)
    assert rated.returncode == 0, rated.stdout


def test_page_shows_files_that_exist() -> None:
    """Every file of the folder that the page installs."""
    page = (ROOT / "docs" / "how-to" / "run-under-systemd.md").read_text("utf-8")
    assert set(re.findall(r"deploy/systemd/([a-z.-]+[a-z])", page)) == {path.name for path in UNITS.iterdir()}
