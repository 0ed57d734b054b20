"""The shell of the page, in a browser: pages, state, keys, and what is told when the server does not respond."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs
import pytest

from entrypoints.http.ui.page import PAGE_NAMES
from entrypoints.settings import Settings
from tests.servers import Api, MakeRun, Start, running_server
from tests.ui.browsers import PHONE, WIDE, Visit
from tests.ui.conftest import Visiting

if TYPE_CHECKING:
    from playwright.sync_api import Route

ROWS = "main [role=row], main tbody tr"
PAINTED = """
() => new Promise((done, fail) => {
  setTimeout(() => fail(new Error("nothing was painted")), 20000);
  new PerformanceObserver(done).observe({type: "paint", buffered: true});
})
"""
SECRET = "reader-0123456789abcdef"


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_starts(visit_server: Visiting, launch_server: Api, scheme: str, size: tuple[int, int]) -> None:
    """Each name shows a heading and no fault, and nothing is wider than the window."""
    with visit_server(launch_server.url, size=size, color_scheme=scheme) as visit:
        for name in ("", *PAGE_NAMES):
            visit.open(name)
            visit.page.wait_for_selector("main h1")
            assert visit.page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_the_header_is_painted_without_the_styles_of_the_pages(visit: Visit) -> None:
    """It does not wait for them, and a page does not show itself before it has them."""
    held = visit.hold("**/css/pages.css")
    visit.page.goto(f"{visit.url}/ui/runs", wait_until="commit")
    visit.page.evaluate(PAINTED)
    assert visit.page.is_visible(".header nav >> text=Commits")
    visit.wait_until(lambda: bool(held))
    assert visit.page.query_selector(".page-runs") is None
    (route,) = held
    route.continue_()
    visit.page.wait_for_selector(".page-runs")


def test_pages_change_without_loading_the_shell_again(visit: Visit) -> None:
    """A link shows the other page, Back the one before; the document stays."""
    visit.open()
    visit.page.evaluate("window.stays = true")
    visit.page.click("nav >> text=Runs")
    visit.page.wait_for_selector(".page-runs")
    visit.page.wait_for_selector(ROWS)
    assert visit.page.url == f"{visit.url}/ui/runs"
    assert visit.page.title() == "Runs · runsink"
    assert visit.page.get_attribute("nav a[aria-current=page]", "href") == "runs"
    visit.go_back()
    visit.page.wait_for_selector(".page-launches")
    assert visit.page.url == f"{visit.url}/ui/"
    assert visit.page.evaluate("window.stays")


def test_below_a_prefix_everything_stays_there(visit_server: Visiting, start: Start, make_run: MakeRun) -> None:
    """Every page, its files and the API are asked for below the prefix alone."""
    with start(root_path="/tools/runsink") as server:
        assert server.create(make_run(run_id="only")).status == 201
        with visit_server(f"{server.url}/tools/runsink") as visit:
            visit.page.goto(f"{visit.url}")
            for name in ("Runs", "Errors", "Commits", "Refused", "Launches"):
                visit.page.click(f"nav >> text={name}")
                visit.page.wait_for_selector(f"main h1:has-text('{name}')")
                visit.page.wait_for_selector(".live[data-state=live]")
                address = name.lower() if name != "Launches" else ""
                assert visit.page.url == f"{visit.url}/ui/{address}"
            visit.page.click("main .list-row >> nth=-1")
            visit.page.wait_for_url(f"{visit.url}/ui/launch?id=only&*")
            visit.reload()
            visit.page.wait_for_selector("h1:has-text('only')")
            visit.open("compare?a=only&b=only")
            visit.page.wait_for_selector("main h1")


def test_what_is_no_text_node_is_refused_by_the_browser(visit: Visit) -> None:
    """A mistake in the page could neither make elements from text nor run it, nor send anything elsewhere."""
    visit.open("compare")
    attempts = {
        "markup": "document.querySelector('main').innerHTML = '<b>bold</b>'",
        "policy": "trustedTypes.createPolicy('own', {})",
        "evaluation": "setTimeout('window.ran = true')",
        "script": "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = true'}))",
        "request": "await fetch('http://127.0.0.1:9/')",
    }
    for name, attempt in attempts.items():
        told = visit.page.evaluate(
            f"async () => {{ try {{ {attempt}; return '' }} catch (error) {{ return error.name }} }}"
        )
        assert told in {"TypeError", "EvalError"}, name
    assert visit.page.query_selector("main b") is None
    assert not visit.page.evaluate("'ran' in window")
    visit.faults.clear()


def test_colours_follow_the_system_until_they_are_chosen(visit: Visit) -> None:
    """A choice holds after a reload, whatever the system says then; choosing what it says is following it again."""

    def background() -> str:
        return str(visit.page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))

    visit.open()
    light = background()
    visit.page.emulate_media(color_scheme="dark")
    dark = background()
    assert light != dark
    visit.page.click("button[data-name=theme]")
    assert background() == light
    visit.reload()
    visit.page.wait_for_selector("main h1")
    assert background() == light
    visit.page.click("button[data-name=theme]")
    assert background() == dark
    visit.page.emulate_media(color_scheme="light")
    assert background() == light


def test_times_are_in_utc_or_local(visit_server: Visiting, launch_server: Api) -> None:
    """The switch changes what is shown at once, and holds after a reload."""
    with visit_server(launch_server.url, timezone_id="Asia/Tokyo") as visit:
        visit.open("runs")
        visit.page.wait_for_selector("main >> text=09:03:0")
        visit.page.click("button.zone")
        visit.page.wait_for_selector("main >> text=18:03:0")
        visit.reload()
        visit.page.wait_for_selector("main >> text=18:03:0")
        assert visit.page.text_content("button.zone") == "local"


def test_help_lists_the_keys_and_switches_them_off(visit: Visit) -> None:
    """Single characters do nothing then, also after a reload, and can be switched on again."""
    visit.open()
    visit.page.keyboard.press("?")
    assert "Search" in (visit.page.text_content("dialog") or "")
    visit.page.uncheck("dialog input[type=checkbox]")
    visit.page.keyboard.press("Escape")
    visit.page.wait_for_selector("dialog", state="detached")
    visit.reload()
    visit.page.wait_for_selector("main h1")
    visit.page.keyboard.press("?")
    visit.page.keyboard.press("/")
    assert visit.page.query_selector("dialog, input:focus") is None
    visit.page.click("button[data-name=help]")
    visit.page.check("dialog input[type=checkbox]")
    visit.page.keyboard.press("Escape")
    visit.page.keyboard.press("/")
    visit.page.wait_for_selector("input[type=search]:focus")


def test_keys_in_a_field_are_text(visit: Visit) -> None:
    """Typing a search triggers no shortcut; Enter puts it into the address, where reload and Back find it."""
    visit.open()
    visit.page.keyboard.press("/")
    visit.page.keyboard.type("j?k/x")
    assert visit.page.query_selector("dialog") is None
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_url(f"{visit.url}/ui/?q=j%3Fk%2Fx")
    visit.reload()
    visit.page.wait_for_selector("main h1")
    assert visit.page.input_value("input[type=search]") == "j?k/x"
    visit.go_back()
    visit.page.wait_for_url(f"{visit.url}/ui/")
    assert visit.page.input_value("input[type=search]") == ""


@pytest.mark.parametrize("name", ["refused", "compare"])
def test_pages_without_a_search_lead_to_the_launches(visit: Visit, name: str) -> None:
    """A search is never without effect: where a page has none, it searches among the launches."""
    visit.open(name)
    visit.page.wait_for_selector("main h1")
    visit.page.keyboard.press("/")
    visit.page.keyboard.type("docs")
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector(".launches-row.list-row")
    assert visit.page.url == f"{visit.url}/ui/?q=docs"


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """Write a token file with one token that may read."""
    path = tmp_path / "tokens"
    path.write_text(f"people read {SECRET}\n")
    path.chmod(0o600)
    return path


def test_the_token_is_asked_for_once(visit_server: Visiting, start: Start, tokens: Path) -> None:
    """A wrong one is told and asked for again; the right one holds for this tab, also after a reload."""
    with start(token_file=tokens) as server, visit_server(server.url) as visit:
        visit.open("runs")
        assert "requires a token" in (visit.page.text_content("dialog") or "")
        for secret in ("wrong-0123456789abcdef", SECRET):
            visit.page.fill("dialog input", secret)
            visit.page.keyboard.press("Enter")
            if secret != SECRET:
                visit.page.wait_for_selector("dialog >> text=does not know this token")
        visit.page.wait_for_selector(".live[data-state=live]")
        visit.forgive("401")
        visit.reload()
        visit.page.wait_for_selector(".live[data-state=live]")
        assert visit.page.evaluate("localStorage.length") == 0
        assert SECRET not in visit.page.content()


def test_without_storage_the_token_is_held_in_memory(visit_server: Visiting, start: Start, tokens: Path) -> None:
    """Where the browser forbids storage, the token is asked for once and then holds for every page."""
    forbid = "Object.defineProperty(window, 'sessionStorage', {get() { throw new DOMException('', 'SecurityError'); }})"
    with start(token_file=tokens) as server, visit_server(server.url) as visit:
        visit.page.add_init_script(forbid)
        visit.open("runs")
        visit.page.fill("dialog input", SECRET)
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_selector(".live[data-state=live]")
        visit.page.click("nav >> text=Errors")
        visit.page.wait_for_selector(".page-errors")
        visit.page.wait_for_selector(".live[data-state=live]")
        assert visit.page.query_selector("dialog") is None
        visit.forgive("401")


def test_without_a_token_the_page_says_what_is_missing(visit_server: Visiting, start: Start, tokens: Path) -> None:
    """Closing the dialog is an answer: it does not come back by itself, but it can be opened again."""
    with start(token_file=tokens) as server, visit_server(server.url) as visit:
        visit.open("runs")
        visit.page.wait_for_selector("dialog")
        visit.page.keyboard.press("Escape")
        visit.page.wait_for_selector("main >> text=requires a token")
        assert visit.page.query_selector("dialog") is None
        visit.page.click("main >> text=Enter a token")
        visit.page.fill("dialog input", SECRET)
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_selector(".live[data-state=live]")
        visit.forgive("401")


@attrs.define
class Restartable:
    """A server with a run named ``before``, which can stop and start again at the same address."""

    settings: Settings
    api: Api = attrs.field(init=False)
    _running: ExitStack = attrs.field(factory=ExitStack, init=False)

    def start(self) -> Api:
        """Start it."""
        self.api = self._running.enter_context(running_server(self.settings))
        self.settings = attrs.evolve(self.settings, port=urlsplit(self.api.url).port)
        return self.api

    def stop(self) -> None:
        """Stop it, if it is running."""
        self._running.close()


@pytest.fixture
def restartable(tmp_path: Path, make_run: MakeRun) -> Iterator[Restartable]:
    """Start a server that a test stops while somebody looks at it."""
    server = Restartable(Settings(port=0, db=tmp_path / "runs.db"))
    try:
        assert server.start().create(make_run(run_id="before")).status == 201
        yield server
    finally:
        server.stop()


def test_a_server_that_is_gone_is_told_and_found_again(
    visit_server: Visiting, restartable: Restartable, make_run: MakeRun
) -> None:
    """What was loaded stays in sight meanwhile, and what came in the meantime is shown afterwards."""
    with visit_server(restartable.api.url) as visit:
        visit.open("runs")
        visit.page.wait_for_selector("main >> text=before")
        restartable.stop()
        visit.page.wait_for_selector(".notice >> text=cannot be reached")
        assert visit.page.is_visible("main >> text=before")
        assert restartable.start().create(make_run(run_id="afterwards")).status == 201
        visit.page.wait_for_selector("main >> text=afterwards")
        visit.page.wait_for_selector(".live[data-state=live]")
        assert visit.page.is_hidden(".notice")
        visit.forgive("ERR_CONNECTION")


def test_what_does_not_pass_is_told(visit_server: Visiting, launch_server: Api) -> None:
    """A token without the scope: the page says so, asks no more by itself, and takes another one."""
    with visit_server(launch_server.url) as visit:
        body = json.dumps({"detail": "the scope read is missing"})
        visit.page.route("**/api/v1/**", lambda route: route.fulfill(status=403, body=body))
        visit.open("runs")
        visit.page.wait_for_selector("main >> text=The token does not allow this: the scope read is missing")
        visit.page.unroute("**/api/v1/**")
        visit.page.click("main >> text=Enter a token")
        visit.page.fill("dialog input", SECRET)
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_selector(".live[data-state=live]")
        visit.forgive("403")


def test_a_passing_message_does_not_hide_that_the_server_is_gone(visit_server: Visiting, start: Start) -> None:
    """What is wrong with the server is told again afterwards, and nothing on the page moves for a message."""
    with start() as server, visit_server(server.url) as visit:
        visit.open()
        visit.page.click("main .copy")
        visit.page.wait_for_selector(".notice >> text=/cop/i")
        box = visit.page.locator("main").bounding_box()
        visit.page.wait_for_selector(".notice", state="hidden")
        assert visit.page.locator("main").bounding_box() == box
        visit.page.route("**/api/v1/**", lambda route: route.abort())
        visit.page.wait_for_selector(".notice >> text=cannot be reached")
        visit.page.click("main .copy")
        visit.page.wait_for_selector(".notice >> text=/cop/i")
        visit.page.wait_for_selector(".notice >> text=cannot be reached")
        visit.forgive("ERR_FAILED")


def test_a_page_that_was_not_loaded_yet_waits_for_the_server(visit_server: Visiting, restartable: Restartable) -> None:
    """Without the server another page says that it cannot be reached, and is shown by itself when it can."""
    with visit_server(restartable.api.url) as visit:
        visit.open()
        visit.page.wait_for_selector(".live[data-state=live]")
        restartable.stop()
        visit.page.click("nav >> text=Runs")
        visit.page.wait_for_selector(".notice >> text=cannot be reached")
        visit.page.wait_for_selector("main >> text=as soon as the server responds")
        restartable.start()
        visit.page.wait_for_selector("main >> text=before")
        assert visit.page.url == f"{visit.url}/ui/runs"
        assert visit.page.is_hidden(".notice")
        visit.forgive("ERR_CONNECTION")


@pytest.mark.parametrize("width", [320, PHONE[0], 720, 760, 800, 980, 990])
def test_no_part_of_the_header_is_cut_off(visit_server: Visiting, server: Api, make_run: MakeRun, width: int) -> None:
    """At every width each page, with its count, and each button can be seen and reached."""
    server.lenient([make_run(run_id=f"run-{n}", status="exploded") for n in range(60)])
    with visit_server(server.url, size=(width, 600), timezone_id="Asia/Tokyo") as visit:
        visit.open("compare")
        visit.page.wait_for_selector("nav >> text=50+")
        visit.page.click("button.zone")
        covered = visit.page.evaluate(
            """() => [...document.querySelectorAll('.header :is(a, button, input)')].filter(control => {
                const {left, right, top, bottom} = control.getBoundingClientRect();
                const edges = right > left ? [left + 3, right - 3] : [];
                return edges.some(x => !control.contains(document.elementFromPoint(x, (top + bottom) / 2)));
            }).map(control => control.textContent)"""
        )
        # The hint at the end of the field only shows a key.
        assert [control for control in covered if control] == []
        heights = visit.page.evaluate("[...document.querySelectorAll('nav a')].map(link => link.offsetHeight)")
        assert min(heights) >= 24
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_page_that_is_missing_is_told(visit_server: Visiting, launch_server: Api) -> None:
    """A server that responds but lacks the page is not waited for."""
    with visit_server(launch_server.url) as visit:
        visit.page.route("**/pages/runs.js", lambda route: route.fulfill(status=404))
        visit.open("runs")
        visit.page.wait_for_selector("main >> text=The page could not be loaded")
        visit.forgive("404")
        visit.forgive("uncaught")


@pytest.mark.parametrize(("status", "told"), [(503, "the queue is full"), (429, "rate limit of the server is used up")])
def test_what_passes_is_told(visit_server: Visiting, start: Start, status: int, told: str) -> None:
    """Overload and rate limits, with how long the page waits; it goes on by itself."""
    with start() as server, visit_server(server.url) as visit:
        busy = [True]

        def respond(route: "Route") -> None:
            # What a server says that is busy for others.
            body = json.dumps({"detail": "the queue is full"})
            if busy:
                route.fulfill(status=status, headers={"Retry-After": "1"}, body=body)
            else:
                route.continue_()

        visit.page.route("**/api/v1/**", respond)
        visit.open("runs")
        visit.page.wait_for_selector(f".notice >> text={told}")
        visit.page.wait_for_selector(".live[data-state=waiting]")
        busy.clear()
        visit.page.wait_for_selector(".live[data-state=live]")
        assert visit.page.is_hidden(".notice")
        visit.forgive(str(status))
