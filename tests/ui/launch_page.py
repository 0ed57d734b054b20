"""The page of a launch as its tests use it: what is opened, and what can be seen."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, quote

from tests.ui.browsers import Visit

LAUNCH: Final = "docs-20260131-0900"
ROW: Final = "[role=treegrid] .list-row"
SELECTED: Final = f"{ROW}[aria-selected=true]"
PANEL: Final = ".launch-panel"

_WITHOUT_MESSAGE: Final = ".commits .jump:not(:has-text('Commit the translations'))"
_BEGIN: Final = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)


def at(seconds: float) -> str:
    """Return the timestamp of a moment of a launch."""
    return (_BEGIN + timedelta(seconds=seconds)).isoformat()


def open_launch(visit: Visit, launch: str = LAUNCH, query: str = "") -> None:
    """Open the page of a launch and wait for its rows."""
    visit.open(f"launch?id={quote(launch, safe='')}{query}")
    visit.page.wait_for_selector(ROW)


def names(visit: Visit) -> list[str]:
    """Return the names of the runs in sight, from top to bottom."""
    found: list[str] = visit.page.evaluate(
        "[...document.querySelectorAll('.launch-row')]"
        ".sort((a, b) => a.ariaRowIndex - b.ariaRowIndex).map(row => row.querySelector('.name').textContent)"
    )
    return found


def selected_name(visit: Visit) -> str | None:
    """Return the name of the selected row."""
    return visit.page.text_content(f"{SELECTED} .name")


def state(visit: Visit) -> Mapping[str, list[str]]:
    """Return the state in the address."""
    return parse_qs(visit.page.evaluate("location.search").removeprefix("?"))


def picture(visit: Visit) -> Any:
    """Return what can be seen: the address, the rows with their bars, the axis, the controls and the panel."""
    return visit.page.evaluate(
        """() => ({
            address: location.href,
            rows: [...document.querySelectorAll('.launch-row')].map(row => [row.ariaRowIndex, row.ariaSelected,
                row.ariaExpanded, ...[...row.classList].sort(), row.innerText, row.querySelector('.bar').style.cssText,
                row.querySelector('.path path').getAttribute('d')].join(' ')).sort(),
            axis: document.querySelector('.axis').textContent,
            pressed: [...document.querySelectorAll('[aria-pressed=true]')].map(button => button.textContent),
            panel: document.querySelector('.launch-panel').textContent,
            top: document.querySelector('.list').scrollTop,
        })"""
    )


def settled(visit: Visit) -> Any:
    """Return what can be seen once everything was loaded."""
    # A document reaches this state once, but loads the messages of commits whenever the panel first shows them.
    visit.page.wait_for_load_state("networkidle")
    visit.page.wait_for_selector(f"{PANEL} > *")
    visit.page.wait_for_selector(f"{PANEL} [aria-busy]", state="detached")
    visit.page.wait_for_selector(f"{PANEL} {_WITHOUT_MESSAGE}", state="detached")
    return picture(visit)
