"""Everybody can use the page: WCAG 2.2 at level AA, as far as a program can check it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from entrypoints.http.ui.page import PAGE_NAMES
from tests.servers import Api, Start
from tests.ui.browsers import PHONE, WIDE
from tests.ui.conftest import Visiting
from tests.ui.screenshots import filled_server
from tests.ui.states import STATES

LOOKS = [{"size": size, "color_scheme": scheme} for size in (WIDE, PHONE) for scheme in ("light", "dark")]
NAMES = [f"{'wide' if look['size'] == WIDE else 'phone'}-{look['color_scheme']}" for look in LOOKS]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Start a server with launches of every status, commits and refused runs."""
    with filled_server(tmp_path_factory.mktemp("filled")) as api:
        yield api


def test_every_page_has_a_state() -> None:
    """A page that is added is tested as well."""
    assert {state.address.partition("?")[0] for state in STATES.values()} == {"", *PAGE_NAMES}


@pytest.mark.parametrize("look", LOOKS, ids=NAMES)
@pytest.mark.parametrize("name", STATES)
def test_no_state_violates_the_guidelines(
    visit_server: Visiting, filled: Api, axe: str, name: str, look: Mapping[str, Any]
) -> None:
    """In both colour schemes and at both widths, once what it shows is loaded; nothing is wider than the window."""
    with visit_server(filled.url, **look) as visit:
        STATES[name].reach(visit)
        assert visit.violations(axe) == []
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= look["size"][0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_asking_for_a_token_violates_no_guideline(
    visit_server: Visiting, start: Start, tmp_path: Path, axe: str, scheme: str
) -> None:
    """Neither does what is shown when none is given."""
    tokens = tmp_path / "tokens"
    tokens.write_text("people read reader-0123456789abcdef\n")
    tokens.chmod(0o600)
    with start(token_file=tokens) as server, visit_server(server.url, color_scheme=scheme) as visit:
        visit.open("runs")
        visit.page.wait_for_selector("dialog input")
        assert visit.violations(axe) == []
        visit.page.keyboard.press("Escape")
        visit.page.wait_for_selector("main >> text=Enter a token")
        assert visit.violations(axe) == []
        visit.forgive("401")
