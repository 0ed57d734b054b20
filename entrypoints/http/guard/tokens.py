"""Bearer tokens: where they come from, and which of them a secret is."""

import hmac
import logging
import re
from collections.abc import Callable, Iterable
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

import attrs

_log = logging.getLogger("runsink")

TOKENS_VARIABLE = "RUNSINK_TOKENS"
MIN_SECRET_LENGTH = 16
MAX_SECRET_LENGTH = 1024
"""Well below what a request's header may hold."""

_SECRET = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, section 2.1


class TokensError(ValueError):
    """Tokens that cannot be read; the message says where and why, and quotes nothing that could be a secret."""


class Scope(StrEnum):
    """What a token is for. ``write`` includes ``read``: the answer to an upload hands out stored runs anyway."""

    READ = "read"
    WRITE = "write"


@attrs.frozen
class Token:
    """A token as it is kept: the SHA-256 digest of its secret, not the secret."""

    name: str
    scope: Scope
    digest: bytes = attrs.field(repr=False)

    def allows(self, scope: Scope) -> bool:
        """Whether the token is good for this."""
        return scope in (Scope.READ, self.scope)


class Keyring:
    """The tokens in force. ``read`` gives them, and gives them again for ``reload``; none means that none is asked."""

    def __init__(self, read: Callable[[], tuple[Token, ...]]) -> None:
        self._read = read
        self._tokens = read()

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def find(self, secret: bytes) -> Token | None:
        """The token with this secret.

        The time it takes tells nothing about the tokens: digests are compared, each in constant time, all of them.
        """
        digest = sha256(secret).digest()
        found = None
        for token in self._tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found

    def reload(self) -> None:
        """Read the tokens again; when they cannot be read, the old ones stay in force and the log says why."""
        try:
            self._tokens = self._read()
        except TokensError as error:
            _log.error("the tokens were not read again, the old ones stay in force: %s", error)


def read_tokens(file: Path | None, variable: str | None) -> tuple[Token, ...]:
    """The tokens of the file and of the environment variable's value, so far as there are these.

    Raises:
        TokensError: the file cannot be read, an entry is wrong, or there is no token where there should be.
    """
    entries: list[tuple[str, str]] = []
    if file is not None:
        entries += _entries_of_file(file)
    if variable is not None:
        entries += _numbered(f"{TOKENS_VARIABLE} entry", variable.split(","))
    if (file, variable) != (None, None) and not entries:
        raise TokensError(f"there is no token in {file or TOKENS_VARIABLE}")
    return _tokens(entries)


def _entries_of_file(file: Path) -> list[tuple[str, str]]:
    if file.exists() and not file.is_file():
        # Opening a named pipe would wait for somebody at its other end.
        raise TokensError(f"token file {file}: it must be a regular file")
    try:
        # What is not UTF-8 fails later, where the line is known.
        text = file.read_bytes().decode("utf-8-sig", "surrogateescape")
        readable_by_others = file.stat().st_mode & 0o007
    except OSError as error:
        raise TokensError(f"token file {file}: {error.strerror}") from None
    if readable_by_others:
        _log.warning("token file %s is open to every user of this machine; chmod o= it", file)
    return _numbered(f"token file {file} line", text.split("\n"))


def _numbered(place: str, entries: Iterable[str]) -> list[tuple[str, str]]:
    """Each entry that says something, with its place."""
    numbered = ((f"{place} {number}", entry.strip()) for number, entry in enumerate(entries, 1))
    return [(place, entry) for place, entry in numbered if entry and not entry.startswith("#")]


def _tokens(entries: Iterable[tuple[str, str]]) -> tuple[Token, ...]:
    tokens: list[Token] = []
    for place, entry in entries:
        token = _token(place, entry)
        for other in tokens:
            if token.name == other.name or token.digest == other.digest:
                raise TokensError(f"{place}: names and secrets must differ, and an earlier token has one of these")
        tokens.append(token)
    return tuple(tokens)


def _token(place: str, entry: str) -> Token:
    words = entry.split()
    if len(words) != 3:
        raise TokensError(f"{place}: must be a name, a scope and a secret with blanks between, not {len(words)} words")
    name, scope, secret = words
    if scope not in tuple(Scope):
        raise TokensError(f"{place}: the scope, the second word, must be read or write")
    if not MIN_SECRET_LENGTH <= len(secret) <= MAX_SECRET_LENGTH:
        raise TokensError(
            f"{place}: the secret, the third word, must have {MIN_SECRET_LENGTH} to {MAX_SECRET_LENGTH} characters, "
            f"not {len(secret)}"
        )
    if not _SECRET.fullmatch(secret):
        raise TokensError(f"{place}: the secret, the third word, may hold A-Z a-z 0-9 - . _ ~ + / and end in =")
    return Token(name, Scope(scope), sha256(secret.encode()).digest())
