"""The page of runs, in a browser."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from entrypoints.settings import Settings
from tests.servers import Api, Start, running_server
from tests.ui.browsers import PHONE, WIDE, Visit
from tests.ui.conftest import Visiting
from tests.ui.launches import make_launch, upload, upload_launches
from tests.ui.test_page_modules import HOSTILE

RUN_ROWS = ".run-row.list-row"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Start one server with launches and the runs inside them, for all tests that only look."""
    with running_server(Settings(port=0, db=tmp_path_factory.mktemp("runs") / "runs.db")) as api:
        upload_launches(api)
        yield api


@pytest.fixture
def runs(visit_server: Visiting, stored: Api) -> Iterator[Visit]:
    """Open the page of runs on that server."""
    with visit_server(stored.url, color_scheme="light") as visit:
        open_page(visit)
        yield visit


def open_page(visit: Visit, query: str = "") -> None:
    """Open the page and wait until its list is there."""
    visit.open(f"runs{query}")
    visit.page.wait_for_selector(RUN_ROWS)


def total(page: Page, number: int) -> None:
    """Wait until the page says that so many runs match."""
    expect(page.locator(".page-head .muted")).to_have_text(str(number))


def names(page: Page) -> list[str]:
    """Return the names of the runs in the document, from the top."""
    shown: list[str] = page.evaluate(
        """(selector) => [...document.querySelectorAll(selector)]
             .sort((a, b) => a.dataset.index - b.dataset.index)
             .map((row) => row.querySelector(".name").textContent)""",
        RUN_ROWS,
    )
    return shown


@pytest.mark.parametrize(
    "query",
    [
        "status=failure,timeout",
        "agent_name=model",
        "job_type=launch",
        "run_id=deps-0",
        "parent_run_id=deps-0",
        "event_id=launch-3-call",
        "from=2026-01-30T00:00Z&to=2026-01-31T00:00Z",
        "q=overloaded&status=failure",
        "product=none",
    ],
)
def test_every_filter_of_the_api_is_one_of_the_page(runs: Visit, stored: Api, query: str) -> None:
    """An address with the filter shows as many runs as the API says, and the filter in its field."""
    given = dict(part.split("=") for part in query.split("&"))
    asked = {{"from": "start_time_from", "to": "start_time_to"}.get(name, name): given[name] for name in given}
    if "start_time_to" in asked:
        asked |= {"start_time_from": "2026-01-30T00:00:00Z", "start_time_to": "2026-01-30T23:59:59.999999Z"}
    expected = stored.find(limit=1000, **asked).body["runs"]
    runs.open(f"runs?{query}")
    if expected:
        expect(runs.page.locator(".list")).to_have_attribute("aria-rowcount", str(min(100, len(expected)) + 1))
        assert names(runs.page)[0] == expected[0]["run_id"]
    else:
        runs.page.wait_for_selector("text=No run matches these filters.")
    fields = runs.page.eval_on_selector_all(".filters input, .search input", "inputs => inputs.map((i) => i.value)")
    texts = given.keys() - {"status", "from", "to"}
    assert {given[name] for name in texts} <= set(fields)


def test_filters_are_chosen_by_hand_and_undone_by_back(runs: Visit) -> None:
    """Buttons and fields change the list and the address; Back and reload lead to the same list."""
    page = runs.page
    total(page, 182)
    page.click(".toggles >> text=failed")
    total(page, 20)
    page.fill(".filter:has-text('Agent') input", "model")
    page.keyboard.press("Enter")
    total(page, 10)
    assert runs.page.url.endswith("?status=failure&agent_name=model")
    listed = names(page)
    runs.reload()
    page.wait_for_selector(RUN_ROWS)
    assert names(page) == listed
    runs.go_back()
    total(page, 20)
    page.click(".filters >> text=Clear")
    total(page, 182)
    assert runs.page.url.endswith("/ui/runs")


def test_the_selected_run_is_shown_with_everything_it_holds(runs: Visit) -> None:
    """A click shows it beside the list; the address keeps it, and Escape closes it."""
    page = runs.page
    page.click(f"{RUN_ROWS}:has-text('bench-2.publish.call-1') .start")
    expect(page.locator(".side .error_summary")).to_have_text("the model is overloaded")
    runs.reload()
    expect(page.locator(".side .error_summary")).to_have_text("the model is overloaded")
    assert "120\u2009k" in page.inner_text(".side")
    page.keyboard.press("Escape")
    expect(page.locator(".side")).to_be_hidden()
    assert "run=" not in page.url


def test_a_run_leads_to_its_launch(runs: Visit) -> None:
    """By the button, with the run selected there; Back leads to the same run in the list."""
    page = runs.page
    page.click(f"{RUN_ROWS}:has-text('bench-2.publish.call-1') .start")
    page.click("text=Show in its launch")
    page.wait_for_url(re.compile(r"/ui/launch\?id=bench-2&event_id=launch-2&run=launch-2-call$"))
    page.wait_for_selector(".page-launch")
    runs.go_back()
    expect(page.locator(".run-row[aria-selected=true] .name")).to_have_text("bench-2.publish.call-1")


def test_everything_works_by_keyboard(runs: Visit) -> None:
    """`j` and `k` select, Enter opens the launch, `/` searches."""
    page = runs.page
    listed = names(page)
    for key in ("j", "j", "k"):
        page.keyboard.press(key)
    expect(page.locator(".side-title")).to_have_text(listed[0])
    page.keyboard.press("/")
    page.keyboard.type("OVERLOADED")
    page.keyboard.press("Enter")
    expect(page.locator(".list")).to_have_attribute("aria-rowcount", "11")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/ui/launch\?id=bench-2&"))


def test_the_end_of_the_list_brings_more(runs: Visit) -> None:
    """Pages follow one another by cursor until every run is there once."""
    page = runs.page
    rows = page.locator(".list")
    expect(rows).to_have_attribute("aria-rowcount", "101")
    expect(page.locator(".list-foot")).to_contain_text("100 runs loaded, back to")
    page.evaluate("document.querySelector('.list').scrollTop = 1e9")
    expect(rows).to_have_attribute("aria-rowcount", "183")
    expect(page.locator(".list-foot")).to_be_hidden()


def test_a_run_that_is_gone_is_said_to_be(runs: Visit) -> None:
    """A link to a run that was pruned shows the list, and no details."""
    open_page(runs, "?run=never")
    expect(runs.page.locator(".side")).to_contain_text("This run is no longer there.")


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_texts_stay_texts(visit_server: Visiting, start: Start, kind: str) -> None:
    """In every column they run nothing, and rows keep their height."""
    now, text = datetime.now(UTC), HOSTILE[kind]
    with start() as api, visit_server(api.url) as visit:
        upload(api, [make_launch(2, now, run_id=text, agent_name=text), make_launch(1, now - timedelta(seconds=1))])
        upload(api, [make_launch(5, now, job_type=text, error_summary=text, item_name=text)])
        open_page(visit)
        page = visit.page
        page.click(f"{RUN_ROWS} >> nth=0 >> .start")
        page.wait_for_selector(".side .details")
        assert page.title() == "Runs · runsink"
        assert page.locator("main img, main script").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 1440
        assert page.eval_on_selector_all(RUN_ROWS, "rows => rows.map((row) => row.offsetHeight)") == [28, 28, 28]


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_a_selected_run_violates_no_guideline(
    visit_server: Visiting, stored: Api, axe: str, size: tuple[int, int]
) -> None:
    """Beside the list, and in its place on a phone, where closing it leads back to the list."""
    with visit_server(stored.url, size=size) as visit:
        visit.open("runs?run=launch-2-call")
        visit.page.wait_for_selector(".side .details")
        assert visit.page.evaluate("document.documentElement.scrollWidth") == size[0]
        assert visit.violations(axe) == []
        visit.page.click("[aria-label='Close the details']")
        visit.page.wait_for_selector(RUN_ROWS)
