"""Serve requests whose path begins with a prefix, as those do that a reverse proxy passes on unchanged."""

from collections.abc import Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage
from yarl import URL

MakeRequest = Callable[..., web.BaseRequest]

_ROOT: Final = "/"


def mount(make_request: MakeRequest, root_path: str | None) -> MakeRequest:
    """Return a factory of requests that takes ``root_path`` off their paths; without one, return the same factory.

    A path without the prefix stays as it is, so proxies may strip it, and health checks need not know it. Everything
    behind the factory sees the same path either way; ``raw_path`` remains what was received.
    """
    if root_path is None:
        return make_request

    def make_mounted(message: RawRequestMessage, *details: Any) -> web.BaseRequest:
        inner = _inner_url(message.url, root_path)
        return make_request(message if inner is None else message._replace(url=inner), *details)

    return make_mounted


def _inner_url(url: URL, root_path: str) -> URL | None:
    """Return the URL without the prefix, or ``None`` if it is not under the prefix."""
    path = url.raw_path
    inner = path.removeprefix(root_path)
    if inner == path or (inner and not inner.startswith(_ROOT)):
        return None
    return url.with_path(inner or _ROOT, encoded=True, keep_query=True)
