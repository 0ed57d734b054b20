"""Authorization and rate limits, checked before a body is read."""

from functools import partial
from http import HTTPStatus

import attrs
from aiohttp import web

from entrypoints.http.guard.addresses import client_network, is_loopback
from entrypoints.http.guard.rate_limits import RateLimits, Unit
from entrypoints.http.guard.tokens import TOKENS_VARIABLE, Keyring, Scope, Token, read_tokens
from entrypoints.http.rejections import Reason, RejectedRequestError
from entrypoints.rates import parse_rate
from entrypoints.settings import Settings

_HEALTH = "/health"
_OPEN = (_HEALTH, "/", "/ready", "/openapi.json", "/openapi.yaml", "/docs", "/ui")
"""Polled by load balancers or opened by hand, both without a token; the responses reveal nothing about runs."""
_OPEN_FILES = ("/docs/", "/ui/")


class AccessDeniedError(RejectedRequestError):
    """A request without a known token, or with one of insufficient scope (RFC 6750, section 3)."""

    def __init__(self, status: HTTPStatus, detail: str, **challenge: str) -> None:
        parameters = {"realm": "runsink", **challenge}
        shown = "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parameters.items())
        reason = Reason.TOKEN if status is HTTPStatus.UNAUTHORIZED else Reason.SCOPE
        super().__init__(status, detail, {"WWW-Authenticate": shown}, reason=reason)


@attrs.frozen
class Access:
    """The tokens and the rate limits of one server."""

    keyring: Keyring
    rate_limits: RateLimits

    def check(self, request: web.Request) -> None:
        """Count the request and check that its client may make it.

        Raises:
            AccessDeniedError: no token allows the request.
            RateLimitedError: the client's quota is used up.
        """
        if _is_unlimited(request):
            return
        if self.rate_limits:
            # Before the token is checked, so that guessing tokens uses up the address's quota.
            self.rate_limits.charge(self._client(request), Unit.REQUESTS)
        if self.keyring and not _is_open(request.path):
            _check_token(self._token(request), request)

    def tell_limits(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add the remaining quota to a response, if its request counts."""
        if self.rate_limits and not _is_unlimited(request):
            response.headers.update(self.rate_limits.fields(self._client(request)))

    def token_name(self, request: web.BaseRequest) -> str | None:
        """Return the name of the request's token, or ``None`` without a known one."""
        # Malformed HTTP has no headers, and aiohttp gives it a plain dict for them.
        token = self._token(request) if self.keyring and request.headers else None
        return None if token is None else token.name

    def charge_runs(self, request: web.Request, count: int) -> None:
        """Count the runs of an admitted request, or raise ``RateLimitedError``."""
        if self.rate_limits:
            self.rate_limits.charge(self._client(request), Unit.RUNS, count)

    def take_runs(self, request: web.Request, wanted: int) -> tuple[int, float]:
        """Count as many runs of an admitted stream as the quota allows now.

        Return how many that was, and the seconds until there is a full quota again.
        """
        if not self.rate_limits:
            return wanted, 0.0
        return self.rate_limits.take(self._client(request), Unit.RUNS, wanted)

    def _client(self, request: web.Request) -> str:
        """Return the client whose quota the request counts against."""
        token = self._token(request)
        return f"address/{client_network(request.remote)}" if token is None else f"token/{token.name}"

    def _token(self, request: web.BaseRequest) -> Token | None:
        """Return the request's token (RFC 6750, section 2.1) if there is exactly one and it is known."""
        credentials = request.headers.getall("Authorization", [])
        if len(credentials) != 1 or not _is_bearer(credentials[0]):
            return None
        secret = credentials[0].partition(" ")[2].strip(" \t")
        # Bytes that are not UTF-8 were decoded to surrogates.
        return self.keyring.find(secret.encode(errors="surrogateescape"))


def _is_unlimited(request: web.Request) -> bool:
    # Opening the page takes dozens of files at once; with some of them refused, it shows nothing.
    is_page = request.path == "/ui" or request.path.startswith("/ui/")
    return request.path == _HEALTH or (is_page and request.method in ("GET", "HEAD"))


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(_OPEN_FILES)


def _is_bearer(credentials: str) -> bool:
    return credentials.partition(" ")[0].lower() == "bearer"


def _check_token(token: Token | None, request: web.Request) -> None:
    if token is None:
        # Without a bearer token the challenge has no error code (RFC 6750, section 3.1).
        shown = any(map(_is_bearer, request.headers.getall("Authorization", [])))
        detail = "unknown token" if shown else "a token is required"
        error = {"error": "invalid_token"} if shown else {}
        raise AccessDeniedError(HTTPStatus.UNAUTHORIZED, f"{detail}: Authorization: Bearer <token>", **error)
    scope = Scope.READ if request.method in ("GET", "HEAD") else Scope.WRITE
    if not token.allows(scope):
        detail = f"this requires a token with the scope {scope}; the scope of this token is {token.scope}"
        raise AccessDeniedError(HTTPStatus.FORBIDDEN, detail, error="insufficient_scope", scope=scope)


def build_access(settings: Settings, tokens_variable: str | None = None) -> Access:
    """Return the access control for the settings and the environment variable for tokens.

    Raises:
        ValueError: one of them is invalid, or the server would be open to the network without ``allow-anonymous``.
        OSError: the host name cannot be resolved.
    """
    named = {Unit.REQUESTS: settings.rate_requests, Unit.RUNS: settings.rate_runs}
    rates = {unit: parse_rate(f"rate-{unit}", text) for unit, text in named.items()}
    rate_limits = RateLimits({unit: rate for unit, rate in rates.items() if rate is not None})
    # Absolute, so that a reload works from any working directory; not resolved, because a link may be changed on
    # purpose to point to new tokens.
    token_file = settings.token_file and settings.token_file.absolute()
    keyring = Keyring(partial(read_tokens, token_file, tokens_variable))
    if not (keyring or settings.allow_anonymous or is_loopback(settings.host)):
        raise ValueError(
            f"host {settings.host or '(all addresses)'} is reachable from other machines: set token-file or "
            f"{TOKENS_VARIABLE}, or allow-anonymous to let everybody connect"
        )
    return Access(keyring, rate_limits)
