"""Bearer tokens: read them, and find the token of a secret."""

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
"""Well below the maximum length of a header."""

_SECRET = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, section 2.1


class TokensError(ValueError):
    """Tokens that cannot be read; the message says where and why, and never quotes a possible secret."""


class Scope(StrEnum):
    """What a token allows. ``write`` includes ``read``: the response to an upload contains stored runs anyway."""

    READ = "read"
    WRITE = "write"


@attrs.frozen
class Token:
    """A token, with the SHA-256 digest of its secret instead of the secret."""

    name: str
    scope: Scope
    digest: bytes = attrs.field(repr=False)

    def allows(self, scope: Scope) -> bool:
        """Return whether the token's scope includes this one."""
        return scope in (Scope.READ, self.scope)


class Keyring:
    """The tokens in force, as returned by ``read`` at the start and on ``reload``. If empty, no token is required."""

    def __init__(self, read: Callable[[], tuple[Token, ...]]) -> None:
        self._read = read
        self._tokens = read()

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def find(self, secret: bytes) -> Token | None:
        """Return the token with this secret, or ``None``.

        The timing reveals nothing about the tokens: every digest is compared, each in constant time.
        """
        digest = sha256(secret).digest()
        found = None
        for token in self._tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found

    def reload(self) -> None:
        """Reload the tokens; if that fails, log why and keep the old ones."""
        try:
            self._tokens = self._read()
        except TokensError as error:
            _log.error("tokens not reloaded, the old ones stay in force: %s", error)
        else:
            _log.info("tokens reloaded: %d in force", len(self._tokens))


def read_tokens(file: Path | None, variable: str | None) -> tuple[Token, ...]:
    """Return the tokens of the file and of the environment variable's value, where given.

    Raises:
        TokensError: the file cannot be read, an entry is invalid, or there are no entries.
    """
    entries: list[tuple[str, str]] = []
    if file is not None:
        entries += _entries_of_file(file)
    if variable is not None:
        entries += _numbered(f"{TOKENS_VARIABLE} entry", variable.split(","))
    if (file, variable) != (None, None) and not entries:
        raise TokensError(f"no token in {file or TOKENS_VARIABLE}")
    return _tokens(entries)


def _entries_of_file(file: Path) -> list[tuple[str, str]]:
    if file.exists() and not file.is_file():
        # Opening a named pipe would wait for somebody at its other end.
        raise TokensError(f"token file {file}: it must be a regular file")
    try:
        # Bytes that are not UTF-8 fail later, where the line number is known.
        text = file.read_bytes().decode("utf-8-sig", "surrogateescape")
        readable_by_others = file.stat().st_mode & 0o007
    except OSError as error:
        raise TokensError(f"token file {file}: {error.strerror}") from None
    if readable_by_others:
        _log.warning("token file %s is accessible to every user of this machine; run chmod o= on it", file)
    return _numbered(f"token file {file} line", text.split("\n"))


def _numbered(place: str, entries: Iterable[str]) -> list[tuple[str, str]]:
    """Return the entries with their places, without blanks and comments."""
    numbered = ((f"{place} {number}", entry.strip()) for number, entry in enumerate(entries, 1))
    return [(place, entry) for place, entry in numbered if entry and not entry.startswith("#")]


def _tokens(entries: Iterable[tuple[str, str]]) -> tuple[Token, ...]:
    tokens: list[Token] = []
    for place, entry in entries:
        token = _token(place, entry)
        for other in tokens:
            if token.name == other.name or token.digest == other.digest:
                raise TokensError(f"{place}: names and secrets must be unique; an earlier token has the same")
        tokens.append(token)
    return tuple(tokens)


def _token(place: str, entry: str) -> Token:
    words = entry.split()
    if len(words) != 3:
        raise TokensError(f"{place}: must be a name, a scope and a secret separated by spaces, not {len(words)} words")
    name, scope, secret = words
    if scope not in tuple(Scope):
        raise TokensError(f"{place}: the scope (second word) must be read or write")
    if not MIN_SECRET_LENGTH <= len(secret) <= MAX_SECRET_LENGTH:
        raise TokensError(
            f"{place}: the secret (third word) must have {MIN_SECRET_LENGTH} to {MAX_SECRET_LENGTH} characters, "
            f"not {len(secret)}"
        )
    if not _SECRET.fullmatch(secret):
        raise TokensError(f"{place}: the secret (third word) may contain A-Z a-z 0-9 - . _ ~ + / and end with =")
    return Token(name, Scope(scope), sha256(secret.encode()).digest())
