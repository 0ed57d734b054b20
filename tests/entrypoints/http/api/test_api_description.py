"""The OpenAPI document and its viewer, as they are served."""

import base64
import json
from hashlib import sha256
from html.parser import HTMLParser
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
import yaml

from adapters.content_coding import CODINGS, decode
from tests.documented import API
from tests.http_streams import Fetched, fetch
from tests.servers import Api, Start

VIEWER = files("entrypoints.http").joinpath("docs_viewer")
PLACES = [
    "/openapi.json",
    "/openapi.yaml",
    "/docs",
    "/docs/initializer.js",
    "/docs/swagger-ui.css",
    "/docs/swagger-ui-bundle.js",
]
POLICY = {
    "default-src": {"'none'"},
    "script-src": {"'self'"},
    "style-src": {"'self'"},
    "img-src": {"'self'", "data:"},
    "connect-src": {"'self'"},
    "base-uri": {"'none'"},
    "form-action": {"'none'"},
    "frame-ancestors": {"'none'"},
}


class References(HTMLParser):
    """The addresses that a page refers to, and whether it has scripts or styles of its own."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.inline: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.found += [(tag, str(named[name])) for name in ("src", "href") if name in named]
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in named) else []
        self.inline += [name for name in named if name == "style" or name.startswith("on")]


def test_the_document_has_the_version_of_the_server(shared_server: Api) -> None:
    """As JSON and as YAML it is the document of the package, but for the version; its server is where it came from."""
    as_json = shared_server.request("GET", "/openapi.json").body
    as_yaml = yaml.safe_load(shared_server.request("GET", "/openapi.yaml").body)
    assert as_json == as_yaml == {**API, "info": {**API["info"], "version": version("runsink")}}
    assert list(as_json["paths"]) == list(API["paths"])
    assert [
        urljoin(f"https://proxy.example{prefix}/openapi.json", as_json["servers"][0]["url"])
        for prefix in ("", "/telemetry")
    ] == [
        "https://proxy.example/",
        "https://proxy.example/telemetry/",
    ]


@pytest.mark.parametrize("path", PLACES)
def test_what_the_client_has_is_not_sent_again(shared_server: Api, path: str) -> None:
    """A client asks each time; 304 without a body if its ETag is the current one, in a list and with any coding too."""
    first = fetch(shared_server, "GET", path)
    assert first.headers["Cache-Control"] == "no-cache"
    etag = first.headers["ETag"]
    for known in (etag, f'"other", {etag}', "*", etag.removeprefix("W/")):
        again = fetch(shared_server, "GET", path, If_None_Match=known, Accept_Encoding="gzip")
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", etag)
    assert fetch(shared_server, "GET", path, If_None_Match='"other"').body == first.body
    head = fetch(shared_server, "HEAD", path)
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(first.body)))


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("path", PLACES)
def test_codings(shared_server: Api, path: str, coding: str) -> None:
    """Each is sent compressed if it is large enough, with the same content and the same ETag."""
    plain, coded = fetch(shared_server, "GET", path), fetch(shared_server, "GET", path, Accept_Encoding=coding)
    assert coded.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    assert coded.headers["ETag"] == plain.headers["ETag"]
    assert coded.headers.get("Content-Encoding") == (coding if len(plain.body) >= 1400 else None)
    if "Content-Encoding" in coded.headers:
        assert len(coded.body) < len(plain.body)
        assert decode(coding, coded.body, len(plain.body), 1) == plain.body


def page(api: Api) -> Fetched:
    """Return the page of the viewer."""
    fetched = fetch(api, "GET", "/docs")
    assert (fetched.status, fetched.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    return fetched


def test_the_page_loads_what_is_served_and_nothing_else(shared_server: Api) -> None:
    """Every address of the page is relative and served, with the right type; no script or style is inline."""
    references = References(page(shared_server).body.decode())
    assert references.inline == []
    assert {name for name, _ in references.found} == {"link", "script", "a"}
    for tag, address in references.found:
        if address == "data:,":
            continue
        assert not urlsplit(address).netloc
        fetched = fetch(shared_server, "GET", urljoin("/docs", address))
        kind = {"link": "text/css", "script": "text/javascript"}.get(tag, "application/")
        assert fetched.status == 200
        assert fetched.headers["Content-Type"].startswith(kind)


def test_the_viewer_loads_the_document_of_its_server() -> None:
    """From a relative address, and it asks no validator."""
    script = VIEWER.joinpath("initializer.js").read_text()
    assert 'url: "openapi.json"' in script
    assert "validatorUrl: null" in script


@pytest.mark.parametrize("path", [place for place in PLACES if place.startswith("/docs")])
def test_headers_of_the_viewer(shared_server: Api, path: str) -> None:
    """Nothing of another origin is loaded or asked, no page may frame it, and no address is told to others."""
    headers = fetch(shared_server, "GET", path).headers
    policy = {name: set(values) for name, *values in map(str.split, headers["Content-Security-Policy"].split(";"))}
    assert policy == POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize(
    "name", ["none", "index.html", "swagger-ui-dist", "..%2Fopenapi.yaml", "%2e%2e/openapi.yaml", ""]
)
def test_no_other_file_is_served(shared_server: Api, name: str) -> None:
    """Only those that the page needs."""
    assert fetch(shared_server, "GET", f"/docs/{name}").status == 404


def test_neither_document_nor_viewer_asks_for_a_token(start: Start, tmp_path: Path) -> None:
    """They reveal nothing about runs; but hosts and rate limits are as for all requests."""
    tokens = tmp_path / "tokens"
    tokens.write_text("nightly write writer-0123456789abcdef\n")
    tokens.chmod(0o600)
    with start(token_file=tokens, rate_requests=f"{len(PLACES)}/day") as server:
        assert [fetch(server, "GET", path).status for path in PLACES] == [200] * len(PLACES)
        assert fetch(server, "GET", "/docs").status == 429


def test_the_viewer_is_the_release_that_it_says_it_is() -> None:
    """Every file of the release that is here has the recorded checksum, and none is here that is not recorded."""
    record = json.loads(VIEWER.joinpath("swagger-ui-dist.json").read_text())
    here = {item.name: item.read_bytes() for item in VIEWER.joinpath("swagger-ui-dist").iterdir()}
    assert {name: sha256(content).hexdigest() for name, content in here.items()} == record["sha256"]
    assert {"LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt"} < here.keys()
    assert record["package"] == f"pkg:npm/swagger-ui-dist@{record['version']}"
    assert record["licence"] == "Apache-2.0"
    assert len(base64.b64decode(record["integrity"].removeprefix("sha512-"), validate=True)) == 64
    assert "Apache License" in here["LICENSE"].decode()
    assert f'"{record["version"]}"'.encode() in here["swagger-ui-bundle.js"]
