"""The OpenAPI document, and the page that shows it."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from importlib.resources import files
from typing import Any, Final

import attrs
from aiohttp import web

from adapters.wire.encode import encode
from entrypoints.http.api.context import Context
from entrypoints.http.messages.asset import Asset
from entrypoints.http.transport.connections import lease_of

_PLACEHOLDER: Final = 'version: "0.0.0"'
"""What the document in the package has as its version."""

_PAGE_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_CSS: Final = "text/css; charset=utf-8"
_JAVASCRIPT: Final = "text/javascript; charset=utf-8"
_FILES: Final = {
    "index.html": ("index.html", "text/html; charset=utf-8"),
    "initializer.js": ("initializer.js", _JAVASCRIPT),
    "swagger-ui-bundle.js": ("swagger-ui-dist/swagger-ui-bundle.js", _JAVASCRIPT),
    "swagger-ui.css": ("swagger-ui-dist/swagger-ui.css", _CSS),
}
"""The place and the type of each file of the viewer."""


@attrs.define
class ApiDescription:
    """The handlers of the document and of its viewer. What they send is prepared when it is first asked for."""

    context: Context
    _assets: dict[str, Asset] = attrs.field(factory=dict, init=False)
    _loading: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this resource."""
        names = "|".join(name.replace(".", r"\.") for name in _FILES if name != "index.html")
        return [
            web.get("/openapi.json", self.get_json),
            web.get("/openapi.yaml", self.get_yaml),
            web.get("/docs", self.get_page),
            web.get(f"/docs/{{file:{names}}}", self.get_file),
        ]

    async def get_json(self, request: web.Request) -> web.Response:
        """Return the document as JSON."""
        return await self._respond(request, "openapi.json", partial(_load_json, self.context.version))

    async def get_yaml(self, request: web.Request) -> web.Response:
        """Return the document as YAML."""
        return await self._respond(request, "openapi.yaml", partial(_load_yaml, self.context.version))

    async def get_page(self, request: web.Request) -> web.Response:
        """Return the page that shows the document."""
        return await self._respond(request, "index.html", partial(_load_file, "index.html"))

    async def get_file(self, request: web.Request) -> web.Response:
        """Return a file that the page refers to."""
        name = request.match_info["file"]
        return await self._respond(request, name, partial(_load_file, name))

    async def _respond(self, request: web.Request, name: str, load: Callable[[], Asset]) -> web.Response:
        """Return a response with an asset, whose bytes count as in flight."""
        async with self._loading:
            if name not in self._assets:
                self._assets[name] = await self.context.pools.compressing.run(load)
        response = self._assets[name].respond(request)
        if isinstance(response.body, bytes):
            # Nobody needs a token for these, so they must not take more memory than other responses.
            lease_of(request).grow(len(response.body))
        return response


def _document(version: str) -> str:
    """Return the document in YAML, with the version of the server."""
    text = files("entrypoints.http").joinpath("openapi.yaml").read_text(encoding="utf-8")
    return text.replace(_PLACEHOLDER, f'version: "{version}"', 1)


def _load_yaml(version: str) -> Asset:
    return Asset.of(_document(version).encode(), "application/yaml", {})


def _load_json(version: str) -> Asset:
    import yaml  # noqa: PLC0415 - few servers are ever asked for this

    # The loader in C takes a sixth of the time.
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document: Mapping[str, Any] = yaml.load(_document(version), loader)  # noqa: S506 - both are safe
    return Asset.of(encode(document), "application/json", {})


def _load_file(name: str) -> Asset:
    place, content_type = _FILES[name]
    content = files("entrypoints.http").joinpath("docs_viewer", place).read_bytes()
    return Asset.of(content, content_type, _PAGE_HEADERS)
