"""Everybody can use the page: WCAG 2.2 at level AA, as far as a program can check it."""

from collections.abc import Mapping
from typing import Any

import pytest

from entrypoints.http.ui.page import PAGE_NAMES
from tests.servers import Api, MakeRun
from tests.ui.browsers import PHONE, WIDE
from tests.ui.conftest import Visiting

ADDRESSES = {
    "": "",
    **{name: name for name in PAGE_NAMES},
    "launch": "launch?id=docs-20260131-0900",
    "compare": "compare?a=docs-20260131-0900.install.de&b=docs-20260131-0900.sign-in.de&only=differences",
}
"""What is opened of each page."""


LOOKS = [{"size": size, "color_scheme": scheme} for size in (WIDE, PHONE) for scheme in ("light", "dark")]
NAMES = [f"{'wide' if look['size'] == WIDE else 'phone'}-{look['color_scheme']}" for look in LOOKS]


@pytest.mark.parametrize("look", LOOKS, ids=NAMES)
@pytest.mark.parametrize("name", ["", *PAGE_NAMES])
def test_no_page_violates_the_guidelines(
    visit_server: Visiting, launch_server: Api, axe: str, name: str, look: Mapping[str, Any]
) -> None:
    """In both colour schemes and at both widths, once what it shows is loaded."""
    with visit_server(launch_server.url, **look) as visit:
        visit.open(ADDRESSES[name])
        visit.page.wait_for_selector("main h1")
        visit.page.wait_for_load_state("networkidle")
        assert visit.violations(axe) == []


@pytest.mark.parametrize("look", LOOKS, ids=NAMES)
@pytest.mark.parametrize("name", ["errors", "commits", "compare"])
def test_no_selection_violates_the_guidelines(
    visit_server: Visiting, launch_server: Api, axe: str, name: str, look: Mapping[str, Any]
) -> None:
    """Nor does what is shown of a selected row."""
    with visit_server(launch_server.url, **look) as visit:
        visit.open(ADDRESSES[name])
        visit.page.wait_for_selector(".list-row")
        visit.page.keyboard.press("j")
        visit.page.wait_for_selector("[aria-selected=true], .side section")
        visit.page.wait_for_load_state("networkidle")
        assert visit.violations(axe) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_refused_runs_do_not_violate_the_guidelines(
    visit_server: Visiting, server: Api, axe: str, make_run: MakeRun, scheme: str
) -> None:
    """Neither does the list of refused runs with one of them selected, nor the choice of launches to compare."""
    server.lenient([make_run(), make_run(status="exploded")])
    with visit_server(server.url, color_scheme=scheme) as visit:
        visit.open("refused")
        visit.page.click(".list-row")
        visit.page.wait_for_selector(".side h2")
        assert visit.violations(axe) == []
        visit.open("compare")
        visit.page.wait_for_selector(".suggestion")
        assert visit.violations(axe) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_dialog_violates_the_guidelines(visit_server: Visiting, launch_server: Api, axe: str, scheme: str) -> None:
    """Neither does the help."""
    with visit_server(launch_server.url, color_scheme=scheme) as visit:
        visit.open("runs")
        visit.page.wait_for_selector("main h1")
        visit.page.click("button[data-name=help]")
        assert visit.violations(axe) == []
