"""What a browser finds in one repetition of ``page``, in a process of its own that is ended if the browser hangs."""

import statistics
from collections.abc import Iterable
from typing import Any, Final

import attrs
from playwright.sync_api import Browser

from bench.browsing import Tab
from bench.figures import percentile
from tests.ui.browsers import running_browser

_PAINTS: Final = 11
"""Openings of each page for its first paint, in turn; their median counts."""

_LOADS: Final = 5
"""Openings of each launch for its script, in turn; the lowest counts, since what disturbs script only adds to it."""

_ROW: Final = "[role=treegrid] .list-row"
_LIST: Final = ".list"
_STEPS: Final = 200
_STEP_PIXELS: Final = 240


@attrs.frozen
class VisitsTask:
    """The addresses of pages by their names; the first is the baseline of the others."""

    addresses: dict[str, str]


def run_paints(task: VisitsTask) -> dict[str, Any]:
    """Return the first paint of every page, relative to that of the first.

    Raises:
        playwright.sync_api.Error: the browser did not respond.
    """
    rounds: dict[str, list[float]] = {name: [] for name in task.addresses}
    with running_browser() as browser:
        for name in _in_turn(task.addresses, _PAINTS):
            with Tab.opened(browser) as tab:
                rounds[name].append(tab.first_paint_ms(task.addresses[name]))
    medians = {name: statistics.median(found) for name, found in rounds.items()}
    baseline = next(iter(medians.values()))
    return {name: {"first_paint_ms": ms, "over_empty": ms / baseline} for name, ms in medians.items()}


def run_launches(task: VisitsTask) -> dict[str, Any]:
    """Return what launches cost to load and to scroll through, relative to the first.

    Raises:
        playwright.sync_api.Error: the browser did not respond.
    """
    loads: dict[str, list[float]] = {name: [] for name in task.addresses}
    with running_browser() as browser:
        for name in _in_turn(task.addresses, _LOADS):
            with Tab.opened(browser) as tab:
                loads[name].append(tab.load_ms(task.addresses[name], _ROW))
        scrolled = {name: _scroll(browser, address) for name, address in task.addresses.items()}
    lowest = {name: min(found) for name, found in loads.items()}
    baseline = next(iter(lowest.values()))
    return {name: {"script_ms": ms, "over_small": ms / baseline, **scrolled[name]} for name, ms in lowest.items()}


def _in_turn(names: Iterable[str], rounds: int) -> Iterable[str]:
    """Return the names this many times, every other time in the other order."""
    forwards = list(names)
    return [name for number in range(rounds) for name in (reversed(forwards) if number % 2 else forwards)]


def _scroll(browser: Browser, address: str) -> dict[str, float]:
    """Open every run of the launch and scroll through them."""
    with Tab.opened(browser) as tab:
        tab.page.goto(f"{address}&depth=9")
        tab.page.wait_for_selector(_ROW)
        tab.page.wait_for_load_state("networkidle")
        steps = tab.scroll_ms(_LIST, _STEP_PIXELS, _STEPS)
        return {
            "elements": tab.elements(),
            "step_p50_ms": percentile(steps, 0.50),
            "step_p95_ms": percentile(steps, 0.95),
        }
