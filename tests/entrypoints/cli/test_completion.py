"""Completion in shells: the scripts, and what they ask for."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers import DEADLINE_SECONDS, RUNSINK, Finish, own_environment

BASH = shutil.which("bash")


def bash_version() -> tuple[int, ...]:
    """The version of bash, or nothing if there is none."""
    if BASH is None:
        return ()
    shown = subprocess.run(
        [BASH, "-c", "echo $BASH_VERSION"], capture_output=True, text=True, check=True, timeout=DEADLINE_SECONDS
    ).stdout
    return tuple(map(int, re.findall(r"[0-9]+", shown)[:2]))


def completed(finish: Finish, *words: str) -> list[str]:
    """What is offered for the last of the words, each with its kind."""
    line = " ".join(["runsink", *words])
    ended = finish(_RUNSINK_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(len(words)))
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.split()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_asks_the_command(finish: Finish, shell: str) -> None:
    """It is that of click."""
    ended = finish("completion", shell)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"_RUNSINK_COMPLETE={shell}_complete" in ended.stdout


def test_unknown_shell(finish: Finish) -> None:
    """The known ones are named."""
    ended = finish("completion", "tcsh")
    assert ended.returncode == 2
    assert all(shell in ended.stderr for shell in ("bash", "zsh", "fish"))


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["se"], ["plain,serve", "plain,settings"]),
        (["--ver"], ["plain,--version"]),
        (["outbox", ""], ["plain,flush"]),
        (["completion", "z"], ["plain,zsh"]),
        (["serve", "--po"], ["plain,--port"]),
        (["serve", "--no-"], ["plain,--no-otlp-content", "plain,--no-allow-anonymous"]),
        (["serve", "--db", "x"], ["file,x"]),
        (["serve", "--token-file", ""], ["file,"]),
        (["upload", "runs"], ["file,runs"]),
        (["outbox", "flush", "a"], ["file,a"]),
        (["migrate-store", "a", "b"], ["file,b"]),
        (["export", "--format", "c"], ["plain,csv"]),
        (["export", "-o", "x"], ["file,x"]),
    ],
)
def test_what_is_offered(finish: Finish, words: list[str], offered: list[str]) -> None:
    """Commands, options, choices and files."""
    assert completed(finish, *words) == offered


def test_configuration_does_not_matter(finish: Finish, tmp_path: Path) -> None:
    """Whatever is wrong with it, completion works, and says nothing."""
    (tmp_path / "runsink.toml").write_text("[runsink")
    assert completed(finish, "healthcheck", "--u") == ["plain,--url"]
    assert completed(finish, "serve", "--hos") == ["plain,--host"]


@pytest.mark.skipif(bash_version() < (4, 4), reason="there is no bash 4.4 or newer")
def test_bash_completes(finish: Finish, tmp_path: Path) -> None:
    """The script defines a function that fills bash's list."""
    script = tmp_path / "completion.bash"
    script.write_text(finish("completion", "bash").stdout)
    ask = f"""
        source {script}
        COMP_WORDS=(runsink se) COMP_CWORD=1
        _runsink_completion runsink
        printf '%s\\n' "${{COMPREPLY[@]}}"
        complete -p runsink
    """
    environment = own_environment({"PATH": f"{RUNSINK.parent}:/usr/bin:/bin"})
    assert BASH is not None
    done = subprocess.run(
        [BASH, "--norc", "-c", ask],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=DEADLINE_SECONDS,
    )
    *offered, registered = done.stdout.splitlines()
    assert offered == ["serve", "settings"]
    assert "_runsink_completion" in registered
