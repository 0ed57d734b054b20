"""The log of a served process: its lines, what it complains of, and what must never be in it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from entrypoints.http.guard.tokens import MIN_SECRET_LENGTH

NEVER_LOGGED = (
    "not-shown",  # the password of databases
    "-0123456789abcdef",  # the end of most tokens
    "translate_page",  # the job type of most runs
    "canary",  # what tests put where nothing else marks a run
)
"""What tests put into tokens, passwords and runs, wherever it may leak."""


def lines_of(stderr: str) -> Sequence[dict[str, Any]]:
    """Return the lines of a log in JSON; fail if there is anything else on stderr."""
    return [json.loads(line) for line in stderr.splitlines()]


def complaints_of(stderr: str, secrets: Iterable[str] = ()) -> str:
    """Return what is a warning or worse, and what is no line of the log; fail if anything shows that must not."""
    assert_shows_none(stderr, secrets)
    complaints = [_complaint_of(line) for line in stderr.splitlines(keepends=True)]
    return "".join(complaints)


def secrets_of(options: Sequence[str], environment: Mapping[str, str], directory: Path) -> Iterator[str]:
    """Yield the tokens that a server was started with, and what its token file holds by now."""
    given = [*environment.get("RUNSINK_TOKENS", "").split(",")]
    for option, value in pairwise(options):
        file = directory / value
        if option == "--token-file" and file.is_file():
            given += file.read_text(errors="replace").splitlines()
    yield from (word for entry in given for word in entry.split() if len(word) >= MIN_SECRET_LENGTH)


def assert_shows_none(text: str, secrets: Iterable[str]) -> None:
    """Fail if a text that anybody may see holds one of these secrets, or one that no test may show."""
    shown = [secret for secret in (*NEVER_LOGGED, *secrets) if secret in text]
    assert not shown, (shown, text)


def _complaint_of(line: str) -> str:
    try:
        logged = json.loads(line)
    except ValueError:
        return line
    return "" if logged["level"] in {"debug", "info"} else f"{logged['event']}\n"
