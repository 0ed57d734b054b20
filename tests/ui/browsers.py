"""A browser of this machine, and pages that allow nothing that would be a fault."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

CHROMIUM: Final = next(filter(None, map(shutil.which, _NAMES)), None)
HAS_PLAYWRIGHT: Final = find_spec("playwright") is not None
ABSENT: Final = "the web page: no Playwright in this environment; tox -e ui runs its tests"

_READ_CELLS: Final = """
cell => [...document.querySelectorAll(`.list-row ${cell}`)]
  .map(found => [Number(found.closest(".list-row").ariaRowIndex), found.textContent])
"""
_FIND_VIOLATIONS: Final = """
async () => {
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
  return (await axe.run(document, {runOnly: tags, resultTypes: ["violations"]})).violations;
}
"""

EVENT_SECONDS: Final = 10
EVENT_INTERVAL_MS: Final = 20

WIDE: Final = (1440, 900)
PHONE: Final = (390, 844)


@contextmanager
def running_browser() -> Iterator["Browser"]:
    """Run the browser of this machine without a window, with the package that drives it."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - it may not be installed

    if CHROMIUM is None:
        raise FileNotFoundError("chromium is not installed")
    sandbox = [] if os.geteuid() else ["--no-sandbox"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        yield started
        started.close()


@attrs.define
class Visit:
    """A tab on one server, and everything that went wrong in it."""

    page: "Page"
    url: str
    """The address of the server's root, without a slash at the end."""
    faults: list[str] = attrs.field(factory=list)

    def open(self, address: str = "") -> None:
        """Open an address below ``/ui/`` and wait until its page is shown."""
        self.page.goto(f"{self.url}/ui/{address}")
        self.wait_for_page()

    def go_back(self) -> None:
        """Go back and wait until the page of that address is shown."""
        self.page.go_back()
        self.wait_for_page()

    def reload(self) -> None:
        """Load everything again and wait until the page is shown."""
        self.page.reload()
        self.wait_for_page()

    def wait_for_page(self) -> None:
        """Wait until the page of the address is shown, or what stands in its place: before, no key does anything."""
        name = urlsplit(self.page.url).path.rpartition("/")[2] or "launches"
        self.page.wait_for_selector(f"main > :is(.page-{name}, .failure, .empty)")

    def wait_until(self, happened: Callable[[], bool]) -> None:
        """Wait for something that the browser tells of in its own time: perhaps later than the page shows it."""
        deadline = time.monotonic() + EVENT_SECONDS
        while not happened():
            assert time.monotonic() < deadline, f"not told in {EVENT_SECONDS} s; faults: {self.faults}"
            self.page.wait_for_timeout(EVENT_INTERVAL_MS)

    def hold(self, address: str) -> "list[Route]":
        """Hold back requests for an address; return the list that they are added to."""
        held: list[Route] = []

        def add(route: "Route") -> None:
            held.append(route)

        self.page.route(address, add)
        return held

    def forgive(self, part: str) -> None:
        """Forget the faults that contain this text; fail if none is told, since a test expects them to be."""
        self.wait_until(lambda: any(part in fault for fault in self.faults))
        self.faults[:] = [fault for fault in self.faults if part not in fault]

    def cells(self, cell: str) -> list[str]:
        """Return the texts of the cells of a list that a selector finds, in the order of the rows."""
        rows = self.page.evaluate(_READ_CELLS, cell)
        return [text for _, text in sorted(rows)]

    def violations(self, axe: str) -> list[str]:
        """Return where what is shown violates WCAG 2.2 at level AA, as far as axe-core can tell: rules and elements."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(axe)
        found = self.page.evaluate(_FIND_VIOLATIONS)
        return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]

    def expect_no_faults(self) -> None:
        """Fail if anything went wrong so far."""
        assert self.faults == []


@contextmanager
def visiting(browser: "Browser", url: str, *, size: tuple[int, int] = WIDE, **options: Any) -> Iterator[Visit]:
    """Open a tab with a storage of its own; at the end of the block nothing may have gone wrong in it.

    Faults are errors on the console, uncaught exceptions, violations of the content security policy, and requests to
    other origins. ``options`` are those of a context of Playwright, such as ``color_scheme``.
    """
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
    try:
        visit = Visit(context.new_page(), url)
        _watch(visit)
        yield visit
        visit.expect_no_faults()
    finally:
        context.close()


def _watch(visit: Visit) -> None:
    page, faults = visit.page, visit.faults
    page.on("console", lambda told: faults.append(f"console: {told.text}") if told.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(f"uncaught: {error}"))
    page.on("request", lambda sent: None if _is_own(visit, sent.url) else faults.append(f"request: {sent.url}"))
    page.add_init_script(
        "addEventListener('securitypolicyviolation', e => console.error('policy', e.violatedDirective, e.blockedURI))"
    )


def _is_own(visit: Visit, address: str) -> bool:
    return f"{address}/".startswith(f"{visit.url}/")
