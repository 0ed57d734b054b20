"""A browser that measures pages: when they are painted, and how long their script runs."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self

import attrs
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from bench.processes import ProcessError
from tests.ui.browsers import CHROMIUM, WIDE

_FIRST_PAINT: Final = """
() => new Promise((done) => new PerformanceObserver((list) => {
  const paint = list.getEntriesByName("first-paint")[0];
  if (paint) done(paint.startTime);
}).observe({type: "paint", buffered: true}))
"""
_SCROLL: Final = """
([selector, pixels]) => new Promise((done) => {
  document.querySelector(selector).scrollTop += pixels;
  requestAnimationFrame(() => requestAnimationFrame(done));
})
"""
_COUNT_ELEMENTS: Final = "document.querySelectorAll('*').length"


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Start the chromium of this machine, without a window."""
    if CHROMIUM is None:
        raise ProcessError("chromium is not installed")
    sandbox = [] if os.geteuid() else ["--no-sandbox"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        try:
            yield browser
        finally:
            browser.close()


@attrs.frozen
class Tab:
    """A tab with a storage and a cache of its own."""

    page: Page
    _session: CDPSession

    @classmethod
    @contextmanager
    def opened(cls, browser: Browser) -> Iterator[Self]:
        """Open a tab, and close it at the end."""
        context = browser.new_context(viewport={"width": WIDE[0], "height": WIDE[1]})
        try:
            page = context.new_page()
            session = context.new_cdp_session(page)
            # Time of the processor, so that what else the machine does counts as little as possible.
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            yield cls(page, session)
        finally:
            context.close()

    def first_paint_ms(self, address: str) -> float:
        """Go to an address and return the milliseconds until something was painted."""
        self.page.goto(address)
        return float(self.page.evaluate(_FIRST_PAINT))

    def script_ms(self) -> float:
        """Return the milliseconds of the processor that script has taken in this tab."""
        found: dict[str, Any] = self._session.send("Performance.getMetrics")
        return next(metric["value"] for metric in found["metrics"] if metric["name"] == "ScriptDuration") * 1000

    def elements(self) -> int:
        """Return the number of elements in the document."""
        return int(self.page.evaluate(_COUNT_ELEMENTS))

    def scroll_steps_ms(self, selector: str, pixels: int, steps: int) -> Sequence[float]:
        """Scroll an element step by step, each painted before the next; return the script of each in milliseconds."""
        spent = []
        for _ in range(steps):
            before = self.script_ms()
            self.page.evaluate(_SCROLL, [selector, pixels])
            spent.append(self.script_ms() - before)
        return spent
