"""Who may ask for what, and how much of it: decided before a body is read."""

from functools import partial
from http import HTTPStatus

import attrs
from aiohttp import web

from entrypoints.http.guard.addresses import client_network, is_loopback
from entrypoints.http.guard.rate_limits import RateLimits, Unit
from entrypoints.http.guard.tokens import TOKENS_VARIABLE, Keyring, Scope, Token, read_tokens
from entrypoints.http.rejections import RejectedRequestError
from entrypoints.rates import parse_rate
from entrypoints.settings import Settings

_UNLIMITED = "/health"
_OPEN = (_UNLIMITED, "/ready")
"""Asked by those who look after the process, which seldom have a token; the answers tell nothing about runs."""


class AccessDeniedError(RejectedRequestError):
    """A request without a known token, or with one whose scope does not allow it (RFC 6750, section 3)."""

    def __init__(self, status: HTTPStatus, detail: str, **challenge: str) -> None:
        parameters = {"realm": "runsink", **challenge}
        shown = "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parameters.items())
        super().__init__(status, detail, {"WWW-Authenticate": shown})


@attrs.frozen
class Access:
    """The tokens and the rate limits of one server."""

    keyring: Keyring
    rate_limits: RateLimits

    def check(self, request: web.Request) -> None:
        """Count the request, and raise unless its client may make it and has quota left.

        Raises:
            AccessDeniedError: it has no token that allows it.
            RateLimitedError: its quota is used up.
        """
        if request.path == _UNLIMITED:
            return
        if self.rate_limits:
            # Before the token is judged: who guesses at tokens spends the quota of an address on it.
            self.rate_limits.charge(self._client(request), Unit.REQUESTS)
        if self.keyring and request.path not in _OPEN:
            _check_token(self._token(request), request)

    async def tell_limits(self, request: web.Request, response: web.StreamResponse) -> None:
        """The signal before an answer is sent: every answer to a request that counts says what is left."""
        if self.rate_limits and request.path != _UNLIMITED:
            response.headers.update(self.rate_limits.fields(self._client(request)))

    def charge_runs(self, request: web.Request, count: int) -> None:
        """Count the runs of an admitted request; raises ``RateLimitedError``."""
        if self.rate_limits:
            self.rate_limits.charge(self._client(request), Unit.RUNS, count)

    def _client(self, request: web.Request) -> str:
        """Whose quota a request counts against."""
        token = self._token(request)
        return f"address/{client_network(request.remote)}" if token is None else f"token/{token.name}"

    def _token(self, request: web.Request) -> Token | None:
        """The token that the request shows (RFC 6750, section 2.1), if it shows one, and one only, that is known."""
        credentials = request.headers.getall("Authorization", [])
        if len(credentials) != 1 or not _is_bearer(credentials[0]):
            return None
        secret = credentials[0].partition(" ")[2].strip(" \t")
        # What is not UTF-8 was decoded with surrogates.
        return self.keyring.find(secret.encode(errors="surrogateescape"))


def _is_bearer(credentials: str) -> bool:
    return credentials.partition(" ")[0].lower() == "bearer"


def _check_token(token: Token | None, request: web.Request) -> None:
    if token is None:
        # Who showed no token of this kind is not told of an error (RFC 6750, section 3.1).
        shown = any(map(_is_bearer, request.headers.getall("Authorization", [])))
        detail = "this is not one known token" if shown else "a token is required"
        error = {"error": "invalid_token"} if shown else {}
        raise AccessDeniedError(HTTPStatus.UNAUTHORIZED, f"{detail}: Authorization: Bearer <token>", **error)
    scope = Scope.READ if request.method in ("GET", "HEAD") else Scope.WRITE
    if not token.allows(scope):
        detail = f"this takes a token with the scope {scope}, and this one has {token.scope}"
        raise AccessDeniedError(HTTPStatus.FORBIDDEN, detail, error="insufficient_scope", scope=scope)


def build_access(settings: Settings, tokens_variable: str | None = None) -> Access:
    """What the settings and the environment variable for tokens say.

    Raises:
        ValueError: one of them is wrong, or anybody in the network could use the server without saying so.
        OSError: the host's name cannot be resolved.
    """
    named = {Unit.REQUESTS: settings.rate_requests, Unit.RUNS: settings.rate_runs}
    rates = {unit: parse_rate(f"rate-{unit}", text) for unit, text in named.items()}
    rate_limits = RateLimits({unit: rate for unit, rate in rates.items() if rate is not None})
    # Absolute, so that a reload finds it from any working directory; not resolved, because a link may be changed on
    # purpose to name the new tokens.
    token_file = settings.token_file and settings.token_file.absolute()
    keyring = Keyring(partial(read_tokens, token_file, tokens_variable))
    if not (keyring or settings.allow_anonymous or is_loopback(settings.host)):
        raise ValueError(
            f"host {settings.host or '(all addresses)'} can be reached from other machines: set token-file or "
            f"{TOKENS_VARIABLE}, or allow-anonymous to let everybody in"
        )
    return Access(keyring, rate_limits)
