"""The OpenAPI document, and the page that shows it."""

from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from pathlib import PurePath
from typing import Any, Final

import attrs
from aiohttp import web

from adapters.wire.encode import encode
from entrypoints.http.api.context import Context
from entrypoints.http.api.prepared_assets import CONTENT_TYPES, PreparedAssets
from entrypoints.http.messages.asset import Asset

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
_FILES: Final = {
    "index.html": "index.html",
    "initializer.js": "initializer.js",
    "swagger-ui-bundle.js": "swagger-ui-dist/swagger-ui-bundle.js",
    "swagger-ui.css": "swagger-ui-dist/swagger-ui.css",
}
"""The place of each file of the viewer."""


@attrs.define
class ApiDescription:
    """The handlers of the document and of its viewer. What they send is prepared when it is first asked for."""

    context: Context
    _assets: PreparedAssets = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._assets = PreparedAssets(self.context)

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
        return await self._assets.respond(request, "openapi.json", partial(_load_json, self.context.version))

    async def get_yaml(self, request: web.Request) -> web.Response:
        """Return the document as YAML."""
        return await self._assets.respond(request, "openapi.yaml", partial(_load_yaml, self.context.version))

    async def get_page(self, request: web.Request) -> web.Response:
        """Return the page that shows the document."""
        return await self._assets.respond(request, "index.html", partial(_load_file, "index.html"))

    async def get_file(self, request: web.Request) -> web.Response:
        """Return a file that the page refers to."""
        name = request.match_info["file"]
        return await self._assets.respond(request, name, partial(_load_file, name))


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
    file = files("entrypoints.http").joinpath("docs_viewer", _FILES[name])
    return Asset.of(file.read_bytes(), CONTENT_TYPES[PurePath(name).suffix], _PAGE_HEADERS)
