"""How the web page is served: its addresses, its headers and its size."""

import gzip
import re
import tarfile
from collections.abc import Iterable, Mapping
from html.parser import HTMLParser
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from adapters.content_coding import CODINGS, decode, encode_small
from entrypoints.http.ui.page import PAGE_NAMES, find_assets, read_asset
from entrypoints.settings import Settings
from tests.http_streams import Fetched, fetch
from tests.servers import Api, Start, running_server

ASSETS = sorted(find_assets())
PAGES = ["/ui/", *(f"/ui/{name}" for name in PAGE_NAMES)]
FILES = [f"/ui/assets/{name}" for name in ASSETS if name != "index.html"]
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
MAX_COMPRESSED_BYTES = 60_000
MAX_COMPRESSED_BYTES_OF_ALL_PAGES = 113_000
MAX_ARCHIVE_BYTES = 86_000
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


class References(HTMLParser):
    """The addresses that the shell refers to, and whatever the policy would not run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag in {"link", "script"}:
            self.loaded += [str(named[name]) for name in ("src", "href") if name in named]
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in named) else []
        self.inline += [name for name in named if name == "style" or name.startswith("on")]


def location(api: Api, path: str, **headers: str) -> str:
    """Return where a redirect leads, as a browser would resolve it."""
    answer = fetch(api, "GET", path, **headers)
    assert (answer.status, answer.headers["Cache-Control"]) == (307, "no-cache")
    return urlsplit(urljoin(f"{api.url}{path}", answer.headers["Location"])).path


def test_every_page_name_is_the_same_shell(shared_server: Api) -> None:
    """Which page it is, its script decides."""
    shells = [fetch(shared_server, "GET", path) for path in PAGES]
    assert {(shell.status, shell.headers["Content-Type"]) for shell in shells} == {(200, "text/html; charset=utf-8")}
    assert len({shell.body for shell in shells}) == 1
    assert fetch(shared_server, "GET", "/ui/?q=x&status=failure").body == shells[0].body


def test_the_shell_loads_what_is_served_and_has_nothing_inline(shared_server: Api) -> None:
    """Its addresses are relative, so that they hold below any prefix."""
    references = References(fetch(shared_server, "GET", "/ui/").body.decode())
    assert references.inline == []
    assert references.loaded
    for address in references.loaded:
        assert not address.startswith("/")
        assert urljoin("/ui/launch", address) in FILES


def source_of(name: str) -> str:
    """Return an asset as it is in the sources."""
    return "".join(file.read_text(encoding="utf-8") for file in find_assets()[name])


def imported(name: str) -> set[str]:
    """Return the modules that a module needs before it runs, itself included."""
    source = source_of(name)
    found = re.findall(r'^(?:import|export)\b[^;]*?from "([^"]+)";$', source, re.MULTILINE)
    return {name}.union(*(imported(urljoin(f"/{name}", path).removeprefix("/")) for path in found))


def test_few_files_are_asked_for_before_the_first_paint(shared_server: Api) -> None:
    """Every request delays it: one style sheet, and the script that chooses the colours."""
    shell = fetch(shared_server, "GET", "/ui/").body.decode()
    assert References(shell.partition("<body>")[0]).loaded == [
        "assets/icon.svg",
        "assets/js/theme.js",
        "assets/css/shell.css",
    ]


def test_every_style_is_in_a_style_sheet_that_the_shell_loads(shared_server: Api) -> None:
    """What the sources keep in several files is served as one, and no file is forgotten."""
    references = References(fetch(shared_server, "GET", "/ui/").body.decode())
    loaded = [path.removeprefix("assets/") for path in references.loaded if path.endswith(".css")]
    assert sorted(loaded) == [name for name in ASSETS if name.endswith(".css")]


@pytest.mark.parametrize("path", FILES)
def test_every_file_has_its_type(shared_server: Api, path: str) -> None:
    """A browser runs no script and applies no style of another type."""
    fetched = fetch(shared_server, "GET", path)
    assert (fetched.status, fetched.headers["Content-Type"]) == (200, TYPES[Path(path).suffix])


@pytest.mark.parametrize("path", ["/ui/", "/ui/compare", "/ui/assets/js/app.js", "/ui/assets/css/shell.css"])
def test_headers(shared_server: Api, path: str) -> None:
    """Only what the server holds is loaded, texts cannot become markup, no page may frame it, no address leaks."""
    headers = fetch(shared_server, "GET", path).headers
    assert headers["Content-Security-Policy"] == POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", ["/ui/", "/ui/assets/js/app.js"])
def test_what_the_browser_has_is_not_sent_again(shared_server: Api, path: str) -> None:
    """304 without a body for the current ETag, in whichever coding the browser has it."""
    first = fetch(shared_server, "GET", path)
    for coding in CODINGS:
        coded = fetch(shared_server, "GET", path, Accept_Encoding=coding)
        assert coded.headers["Content-Encoding"] == coding
        assert decode(coding, coded.body, len(first.body), 1) == first.body
        again = fetch(shared_server, "GET", path, If_None_Match=coded.headers["ETag"], Accept_Encoding=coding)
        assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/ui/none",
        "/ui/launch/",
        "/ui/launches",
        "/ui/assets/",
        "/ui/assets/index.html",
        "/ui/assets/none.js",
        "/ui/assets/js/",
        "/ui/assets/css/shell/base.css",
        "/ui/assets/js/app.js/",
        "/ui/assets/../page.py",
        "/ui/assets/..%2Fpage.py",
        "/ui/assets/%2e%2e/page.py",
        "/ui/assets/js%2Fapp.js%00",
        "/ui/page.py",
    ],
)
def test_no_other_address_is_served(shared_server: Api, path: str) -> None:
    """Whatever path a client makes up, no other file can be read."""
    connection = HTTPConnection(urlsplit(shared_server.url).netloc)
    connection.request("GET", path)
    assert connection.getresponse().status == 404
    connection.close()


def test_browsers_are_sent_to_the_page(shared_server: Api) -> None:
    """From the root only clients that show HTML; to others there is nothing there, as ever."""
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    assert location(shared_server, "/", Accept=browser) == "/ui/"
    assert fetch(shared_server, "GET", "/", Accept=browser).headers["Vary"] == "Accept"
    assert location(shared_server, "/ui") == "/ui/"
    for accept in ("*/*", "application/json", ""):
        assert fetch(shared_server, "GET", "/", Accept=accept).status == 404


def test_redirects_stay_below_the_prefix(start: Start, shared_server: Api) -> None:
    """Whether the proxy passes the prefix on or strips it, and with or without a slash at its end."""
    with start(root_path="/tools/runsink") as server:
        for root in ("/tools/runsink", "/tools/runsink/", "/"):
            assert location(server, root, Accept="text/html") == "/tools/runsink/ui/"
        assert location(server, "/tools/runsink/ui") == "/tools/runsink/ui/"
        assert fetch(server, "GET", "/tools/runsink/ui/launch").status == 200
    # A proxy that strips a prefix of which the server knows nothing.
    stripped = fetch(shared_server, "GET", "/", Accept="text/html").headers["Location"]
    assert urljoin("https://proxy.example/tools/runsink/", stripped) == "https://proxy.example/tools/runsink/ui/"


def test_the_page_needs_no_token(tmp_path: Path) -> None:
    """It holds no run; what it asks the API for needs one."""
    tokens = tmp_path / "tokens"
    tokens.write_text("nightly write writer-0123456789abcdef\n")
    tokens.chmod(0o600)
    with running_server(Settings(port=0, db=tmp_path / "runs.db", token_file=tokens)) as server:
        assert [fetch(server, "GET", path).status for path in [*PAGES, *FILES]] == [200] * len([*PAGES, *FILES])
        assert fetch(server, "GET", "/", Accept="text/html").status == 307
        assert fetch(server, "GET", "/api/v1/runs").status == 401
        assert writes(server, "/ui/") == writes(server, "/ui/assets/js/app.js") == 405


def writes(server: Api, path: str) -> int:
    """Return the status of an attempt to write to a path."""
    answer: Fetched = fetch(server, "POST", path, b"{}", Content_Type="application/json")
    return answer.status


@pytest.mark.parametrize("suffix", [".js", ".css"])
def test_scripts_and_styles_are_served_without_comments(shared_server: Api, suffix: str) -> None:
    """Every line of code is the one of the source but for its indentation, so that errors name the right line."""
    for name in ASSETS:
        if not name.endswith(suffix):
            continue
        source = [line.lstrip(" \t") for line in source_of(name).splitlines()]
        served = fetch(shared_server, "GET", f"/ui/assets/{name}").body.decode().splitlines()
        assert len(served) == len(source)
        left_out = [old for old, new in zip(source, served, strict=True) if old != new]
        assert {new for old, new in zip(source, served, strict=True) if old != new} <= {""}
        assert not [line for line in served if line.startswith("/*") and line.endswith("*/")]
        if suffix == ".js":
            assert all(line.startswith(("/**", "*", "//")) for line in left_out)


def test_no_text_of_a_script_spans_lines() -> None:
    """Indentation, which is not served, is never a part of a text."""
    for name, asset in find_assets().items():
        if name.endswith(".js"):
            lines = read_asset(asset).decode().splitlines()
            assert not [line for line in lines if not line.startswith("//") and line.count("`") % 2], name


def compressed_bytes(names: Iterable[str], coding: str) -> Mapping[str, int]:
    """Return what a client loads for each of these assets."""
    return {name: len(encode_small(coding, read_asset(find_assets()[name]))) for name in names}


@pytest.mark.parametrize("coding", CODINGS)
def test_the_whole_page_is_small(coding: str) -> None:
    """All assets of all seven pages together, of which a browser loads those of the pages that it shows."""
    sizes = compressed_bytes(ASSETS, coding)
    assert sum(sizes.values()) <= MAX_COMPRESSED_BYTES_OF_ALL_PAGES, sizes


def archive(names: Iterable[str]) -> bytes:
    """Return these assets as they are served, in one archive that depends on nothing else, such as times."""
    written = BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.USTAR_FORMAT) as made:
        for name in sorted(names):
            content = read_asset(find_assets()[name])
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            made.addfile(entry, BytesIO(content))
    return gzip.compress(written.getvalue(), 9, mtime=0)


def test_all_assets_in_one_archive_are_small() -> None:
    """What every page consists of, compressed as a whole; the bound keeps it from growing unnoticed."""
    assert len(archive(ASSETS)) <= MAX_ARCHIVE_BYTES


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("name", ["launches", *PAGE_NAMES])
def test_what_one_page_loads_is_small(name: str, coding: str) -> None:
    """The shell, every style and the modules of the page are at most 60 kB compressed."""
    always = {asset for asset in ASSETS if not asset.endswith(".js")} | imported("js/app.js") | {"js/theme.js"}
    sizes = compressed_bytes(always | imported(f"js/pages/{name}.js"), coding)
    assert sum(sizes.values()) <= MAX_COMPRESSED_BYTES, sizes
