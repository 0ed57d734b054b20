"""A browser that measures pages: when they are painted, and how long their script runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self

import attrs
import orjson
from playwright.sync_api import Browser, Page

from tests.ui.browsers import WIDE

_PATIENCE_MS: Final = 30_000
# Frames and paints never come if the browser takes the tab for one in the background.
_IMPATIENCE: Final = f"""
new Promise((_, fail) => setTimeout(() => fail(new Error("nothing within {_PATIENCE_MS} ms")), {_PATIENCE_MS}))
"""

_FIRST_PAINT: Final = """
() => new Promise((done) => new PerformanceObserver((list) => {
  const paint = list.getEntriesByName("first-paint")[0];
  if (paint) done(paint.startTime);
}).observe({type: "paint", buffered: true}))
"""
_MARK: Final = "bench"
# What Playwright itself waits with would run in every frame, and count.
_WAIT: Final = f"""
(selector) => new Promise((done) => {{
  const look = () => {{
    if (!document.querySelector(selector)) return;
    performance.mark("{_MARK}");
    done();
  }};
  new MutationObserver(look).observe(document, {{childList: true, subtree: true}});
  look();
}})
"""
_SCROLL: Final = f"""
([selector, pixels]) => new Promise((done) => {{
  performance.mark("{_MARK}");
  document.querySelector(selector).scrollTop += pixels;
  requestAnimationFrame(() => requestAnimationFrame(done));
}})
"""
_COUNT_ELEMENTS: Final = "() => document.querySelectorAll('*').length"

_CATEGORIES: Final = ["devtools.timeline", "v8", "v8.execute", "blink.user_timing"]
_SCRIPT: Final = frozenset({"EvaluateScript", "v8.evaluateModule", "v8.callFunction", "FunctionCall", "RunMicrotasks"})
_LAYOUT: Final = frozenset({"UpdateLayoutTree", "Layout"})


@attrs.frozen
class Tab:
    """A tab with a storage and a cache of its own.

    What it waits for in a page has a timeout, after which Playwright raises an error. What the browser itself does has
    none, such as opening a tab or the end of a trace; whoever uses it must be ready to end the process.
    """

    page: Page
    _browser: Browser

    @classmethod
    @contextmanager
    def opened(cls, browser: Browser) -> Iterator[Self]:
        """Open a tab, and close it at the end."""
        context = browser.new_context(viewport={"width": WIDE[0], "height": WIDE[1]})
        try:
            yield cls(context.new_page(), browser)
        finally:
            context.close()

    def first_paint_ms(self, address: str) -> float:
        """Go to an address and return the milliseconds until something was painted."""
        self.page.goto(address)
        painted = float(self._ask(_FIRST_PAINT))
        # What the page still does must not slow down the one that is opened next.
        self.page.wait_for_load_state("networkidle")
        return painted

    def load_ms(self, address: str, selector: str) -> float:
        """Go to an address and return the milliseconds of script until an element is there."""
        self._browser.start_tracing(page=self.page, categories=_CATEGORIES)
        self.page.goto(address, wait_until="commit")
        self._ask(_WAIT, selector)
        return _script_ms(self._browser.stop_tracing())[0]

    def scroll_ms(self, selector: str, pixels: int, steps: int) -> Sequence[float]:
        """Scroll an element step by step, each painted before the next; return the script of each in milliseconds."""
        self._browser.start_tracing(page=self.page, categories=_CATEGORIES)
        for _ in range(steps):
            self._ask(_SCROLL, [selector, pixels])
        return _script_ms(self._browser.stop_tracing())[1:]

    def elements(self) -> int:
        """Return the number of elements in the document."""
        return int(self._ask(_COUNT_ELEMENTS))

    def _ask(self, function: str, argument: Any = None) -> Any:
        """Call a function of JavaScript in the page; it must not take longer than ``_PATIENCE_MS``."""
        return self.page.evaluate(f"(argument) => Promise.race([({function})(argument), {_IMPATIENCE}])", argument)


def _script_ms(trace: bytes) -> Sequence[float]:
    """Return the milliseconds of the processor that script took before the first mark, and after each.

    Promises are resolved in microtasks, which the browser's own sum of script leaves out. The layout that script may
    cause does not count.
    """
    spent, script_end, layout_end = [0.0], 0.0, 0.0
    for event in _events(trace):
        begin, name = event["ts"], event["name"]
        end, milliseconds = begin + event.get("dur", 0), event.get("tdur", 0) / 1000
        if name == _MARK:
            spent.append(0.0)
        elif name in _SCRIPT and begin >= script_end:
            spent[-1] += milliseconds
            script_end = end
        elif name in _LAYOUT and layout_end <= begin < script_end:
            spent[-1] -= milliseconds
            layout_end = end
    return spent


def _events(trace: bytes) -> Sequence[dict[str, Any]]:
    """Return the events in the thread of the page, in order; the browser's own pages have others."""
    events: list[dict[str, Any]] = orjson.loads(trace)["traceEvents"]
    page = next((event["pid"], event["tid"]) for event in events if event["name"] == _MARK)
    names = _SCRIPT | _LAYOUT | {_MARK}
    found = [event for event in events if event["name"] in names and (event["pid"], event["tid"]) == page]
    return sorted(found, key=lambda event: event["ts"])
