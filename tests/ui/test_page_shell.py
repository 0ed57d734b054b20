"""The shell of the page, in a browser."""

import pytest

from entrypoints.http.ui.page import PAGE_NAMES
from tests.servers import Api
from tests.ui.browsers import PHONE, WIDE, Visit
from tests.ui.conftest import Visiting


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_starts(visit_server: Visiting, launch_server: Api, scheme: str, size: tuple[int, int]) -> None:
    """Each name shows a heading and no fault, and nothing is wider than the window."""
    with visit_server(launch_server.url, size=size, color_scheme=scheme) as visit:
        for name in ("", *PAGE_NAMES):
            visit.open(name)
            assert visit.page.text_content("main h1")
            assert visit.page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_pages_change_without_loading_the_shell_again(visit: Visit) -> None:
    """A link shows the other page, Back the one before; the document stays."""
    visit.open()
    visit.page.evaluate("window.stays = true")
    visit.page.click("nav >> text=Runs")
    visit.page.wait_for_selector("main table tbody tr")
    assert visit.page.url == f"{visit.url}/ui/runs"
    assert visit.page.title() == "Runs · runsink"
    assert visit.page.get_attribute("nav a[aria-current=page]", "href") == "runs"
    visit.page.go_back()
    visit.page.wait_for_selector(".page-launches")
    assert visit.page.url == f"{visit.url}/ui/"
    assert visit.page.evaluate("window.stays")
