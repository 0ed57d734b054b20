"""Cross-origin checks: a page of another site may neither read nor write unless ``allowed-origins`` lists its origin.

The Fetch standard defines what a browser sends with each request and what it hides from a page.
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import attrs
from aiohttp import hdrs, web

from core.validation.fields import describe
from entrypoints.authorities import Host, Origin, parse_hosts, parse_origins, read_host, read_origin
from entrypoints.http.guard.addresses import names_loopback
from entrypoints.http.guard.tokens import Keyring
from entrypoints.http.rejections import Reason, RejectedRequestError
from entrypoints.settings import Settings

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Safe methods (RFC 9110, section 9.2.1)."""

_SITE: Final = "Sec-Fetch-Site"
_OTHER_SITES: Final = frozenset({"cross-site", "same-site"})
_ABSOLUTE: Final = re.compile("[a-z][a-z0-9+.-]*://([^/?#]*)", re.ASCII | re.IGNORECASE)

_EVERY_RESPONSE: Final = {"Cross-Origin-Resource-Policy": "same-origin", "X-Content-Type-Options": "nosniff"}
_EXPOSED: Final = "ETag, Location, Preference-Applied, RateLimit, RateLimit-Policy, Retry-After, X-Request-ID"
_PREFLIGHT: Final = {
    hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, HEAD, POST, PATCH, DELETE",
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: "Authorization, Content-Encoding, Content-Type, If-None-Match, Prefer, "
    "X-Request-ID",
}


@attrs.frozen
class Origins:
    """The trusted origins and hosts of one server, checked with each request."""

    allowed: frozenset[Origin]
    hosts: frozenset[Host]
    any_host: bool
    keyring: Keyring

    @classmethod
    def of(cls, settings: Settings, keyring: Keyring) -> "Origins":
        """Return the checks for the settings. The keyring is consulted with every request, since it may be reloaded."""
        hosts = parse_hosts(settings.allowed_hosts)
        any_host = settings.allow_anonymous and not hosts
        return cls(parse_origins(settings.allowed_origins), hosts, any_host, keyring)

    def check(self, request: web.Request) -> web.Response | None:
        """Return the response to a preflight, else ``None`` if the request is allowed from where it comes.

        Raises:
            RejectedRequestError: 421 for an untrusted host, 403 for a cross-origin write.
        """
        hosts = _hosts(request)
        if not (self.any_host or self.keyring or all(map(self._is_trusted, hosts))):
            detail = "untrusted Host: use localhost or a loopback address, or list the host in allowed-hosts"
            raise RejectedRequestError(HTTPStatus.MISDIRECTED_REQUEST, detail, reason=Reason.HOST)
        if self._is_allowed(request):
            asks_first = request.method == "OPTIONS" and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
            return web.Response(status=HTTPStatus.NO_CONTENT, headers=_PREFLIGHT) if asks_first else None
        evidence = None if request.method in _SAFE_METHODS else _cross_origin_evidence(request, hosts)
        if evidence is not None:
            detail = f"cross-origin writes are rejected unless allowed-origins lists the origin ({evidence})"
            raise RejectedRequestError(HTTPStatus.FORBIDDEN, detail, reason=Reason.ORIGIN)
        return None

    def tell_browser(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add to a response which pages may read it."""
        response.headers.update(_EVERY_RESPONSE)
        if self.allowed:
            response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        if self._is_allowed(request):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = request.headers[hdrs.ORIGIN]
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED

    def _is_trusted(self, host: Host | None) -> bool:
        return host is not None and (names_loopback(host.name) or any(listed.covers(host) for listed in self.hosts))

    def _is_allowed(self, request: web.Request) -> bool:
        """Return whether the request comes from a page whose origin is listed."""
        return bool(self.allowed) and _origin(request) in self.allowed


def _hosts(request: web.Request) -> Sequence[Host | None]:
    """Return the hosts that a request names, in its header and in an absolute-form target (RFC 9112, section 3.2.2).

    ``None`` stands for an invalid host. The result may be empty: HTTP/1.0, which no browser sends, allows no host.
    """
    target = _ABSOLUTE.match(request.raw_path)
    written = [*request.headers.getall(hdrs.HOST, ()), *(target.groups() if target else ())]
    return [read_host(text) for text in written]


def _origin(request: web.Request) -> Origin | None:
    """Return the origin of the page that sent the request, or ``None`` if there is not exactly one."""
    written = request.headers.getall(hdrs.ORIGIN, ())
    return read_origin(written[0]) if len(written) == 1 else None


def _cross_origin_evidence(request: web.Request, hosts: Sequence[Host | None]) -> str | None:
    """Return the header that shows that the request is cross-origin, or ``None``."""
    if not (hdrs.ORIGIN in request.headers or _SITE in request.headers):
        return None
    origin = _origin(request)
    own = origin is not None and bool(hosts) and all(host is not None and origin.is_at(host) for host in hosts)
    if hdrs.ORIGIN in request.headers and not own:
        return f"{hdrs.ORIGIN} {describe(', '.join(request.headers.getall(hdrs.ORIGIN)))}"
    sites = _OTHER_SITES.intersection(map(str.lower, request.headers.getall(_SITE, ())))
    return f"{_SITE} {min(sites)}" if sites else None
