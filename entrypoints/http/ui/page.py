"""The web page: one shell for every page name, and the files that it loads."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePath
from typing import Final

import attrs
from aiohttp import hdrs, web

from entrypoints.http.api.context import Context
from entrypoints.http.api.prepared_assets import CONTENT_TYPES, PreparedAssets
from entrypoints.http.messages.asset import Asset

PAGE_NAMES: Final = ("launch", "runs", "errors", "commits", "refused", "compare")
"""The last segments of the addresses below ``/ui/``; the page of launches has none."""

_SHELL: Final = "index.html"
_STYLES: Final = {
    "css/shell.css": ("tokens", "base", "controls"),
    "css/pages.css": ("tables", "details", "beside", "compare", "launch", "launches", "runs"),
}
"""Style sheets that are served as one, in this order: each request more delays the first paint."""
_COMMENTS: Final = {
    ".js": re.compile(rb"^[ \t]*(?:/\*\*(?:(?!\*/).)*\*/[ \t]*|//[^\n]*)$", re.MULTILINE | re.DOTALL),
    ".css": re.compile(rb"^[ \t]*/\*(?:(?!\*/).)*\*/[ \t]*$", re.MULTILINE | re.DOTALL),
}
"""Comments that have their lines to themselves; of scripts, those in the form of JSDoc and those of one line."""
_INDENTATION: Final = re.compile(rb"^[ \t]+", re.MULTILINE)

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def find_assets() -> Mapping[str, Sequence[Traversable]]:
    """Return the assets of the page by their paths below ``assets``, each with its files in this package."""
    found = dict(_walk(files("entrypoints.http.ui").joinpath("assets"), ""))
    styles = {name: [found.pop(_style(name, part)) for part in parts] for name, parts in _STYLES.items()}
    return {name: [file] for name, file in found.items()} | styles


@attrs.define
class Page:
    """The handlers of the page. Only files that the package holds can be asked for."""

    context: Context
    _files: Mapping[str, Sequence[Traversable]] = attrs.field(factory=find_assets, init=False)
    _assets: PreparedAssets = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._assets = PreparedAssets(self.context)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this resource."""
        names = "|".join(re.escape(name) for name in self._files if name != _SHELL)
        return [
            web.get("/", self.redirect_browser),
            web.get("/ui", self.redirect),
            web.get("/ui/", self.get_shell),
            web.get(f"/ui/{{page:{'|'.join(PAGE_NAMES)}}}", self.get_shell),
            web.get(f"/ui/assets/{{file:{names}}}", self.get_file),
        ]

    async def redirect_browser(self, request: web.Request) -> web.Response:
        """Send a client that shows HTML to the page; for others there is nothing at the root."""
        if "text/html" not in ",".join(request.headers.getall(hdrs.ACCEPT, ())).lower():
            raise web.HTTPNotFound
        # With a prefix the root may lack the slash at its end, which a relative address would need.
        root = f"{self.context.root_path}/" if self.context.root_path else ""
        return _redirect(f"{root}ui/", {hdrs.VARY: hdrs.ACCEPT})

    async def redirect(self, _request: web.Request) -> web.Response:
        """Add the slash, below which every address of the page is."""
        return _redirect("ui/", {})

    async def get_shell(self, request: web.Request) -> web.Response:
        """Return the shell, whichever page it will show."""
        return await self._respond(request, _SHELL)

    async def get_file(self, request: web.Request) -> web.Response:
        """Return a file that the shell loads."""
        return await self._respond(request, request.match_info["file"])

    async def _respond(self, request: web.Request, name: str) -> web.Response:
        return await self._assets.respond(request, name, partial(_load, self._files[name]))


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for item in folder.iterdir():
        if item.is_dir():
            yield from _walk(item, f"{prefix}{item.name}/")
        elif PurePath(item.name).suffix in CONTENT_TYPES:
            yield f"{prefix}{item.name}", item


def _style(name: str, part: str) -> str:
    """Return the path of a part of a style sheet."""
    path = PurePath(name)
    return str(path.with_suffix("") / f"{part}{path.suffix}")


def read_asset(asset: Sequence[Traversable]) -> bytes:
    """Return the files of an asset as they are served, one after the other."""
    return b"".join(map(_read_file, asset))


def _read_file(file: Traversable) -> bytes:
    """Return a script or style without comments and indentation, every line where it was; any other file unchanged."""
    content, suffix = file.read_bytes(), PurePath(file.name).suffix
    if suffix not in _COMMENTS:
        return content
    # A third of what a browser would load are types and explanations, for people who have the sources.
    without_comments = _COMMENTS[suffix].sub(lambda found: b"\n" * found[0].count(b"\n"), content)
    return _INDENTATION.sub(b"", without_comments)


def _load(asset: Sequence[Traversable]) -> Asset:
    return Asset.of(read_asset(asset), CONTENT_TYPES[PurePath(asset[0].name).suffix], _HEADERS)


def _redirect(address: str, headers: Mapping[str, str]) -> web.Response:
    # Temporary, since another server may have the address tomorrow.
    status = HTTPStatus.TEMPORARY_REDIRECT
    return web.Response(status=status, headers={hdrs.LOCATION: address, hdrs.CACHE_CONTROL: "no-cache", **headers})
