"""The page of launches, in a browser."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, expect

from entrypoints.settings import Settings
from tests.servers import Api, Start, running_server
from tests.ui.browsers import PHONE, Visit
from tests.ui.conftest import Visiting
from tests.ui.launches import A_DAY, DAYS, END, Run, commit_of, make_launch, upload, upload_launches
from tests.ui.test_page_modules import HOSTILE

if TYPE_CHECKING:
    from playwright.sync_api import Route

LAUNCH_ROWS = ".launches-row.list-row"
MOST_ROWS = 60


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, list[Run]]]:
    """Start one server with two weeks of launches, for all tests that only look."""
    with running_server(Settings(port=0, db=tmp_path_factory.mktemp("launches") / "runs.db")) as api:
        yield api, upload_launches(api)


@pytest.fixture
def launches(visit_server: Visiting, stored: tuple[Api, list[Run]]) -> Iterator[Visit]:
    """Open the page of launches on that server."""
    with visit_server(stored[0].url, color_scheme="light") as visit:
        open_page(visit)
        yield visit


def open_page(visit: Visit, query: str = "") -> None:
    """Open the page and wait until its list and its figures are there."""
    visit.open(query)
    visit.page.wait_for_selector(LAUNCH_ROWS)
    visit.page.wait_for_selector(".chart rect")
    visit.page.wait_for_selector(".facets section:not([hidden]) .facet", state="attached")


def shown(page: Page) -> list[str]:
    """Return the names of the launches in the document, from the top."""
    rows: list[str] = page.evaluate(
        """(selector) => [...document.querySelectorAll(selector)]
             .sort((a, b) => a.dataset.index - b.dataset.index)
             .map((row) => row.querySelector(".name").textContent)""",
        LAUNCH_ROWS,
    )
    return rows


def statuses(page: Page) -> set[str]:
    """Return the statuses of the launches in the document."""
    return set(page.eval_on_selector_all(f"{LAUNCH_ROWS} .status .icon", "icons => icons.map(i => i.ariaLabel)"))


def expect_no(page: Page, status: str) -> None:
    """Wait until no launch in the document has this status."""
    expect(page.locator(f"{LAUNCH_ROWS} .status [aria-label={status}]")).to_have_count(0)


def query_of(visit: Visit) -> dict[str, str]:
    """Return the parameters of the address."""
    parameters: dict[str, str] = visit.page.evaluate("Object.fromEntries(new URLSearchParams(location.search))")
    return parameters


def wait_for_query(visit: Visit, name: str) -> None:
    """Wait until the address has a parameter."""
    visit.page.wait_for_url(re.compile(rf"[?&]{name}="))


def test_the_list_says_what_happened(launches: Visit, stored: tuple[Api, list[Run]]) -> None:
    """Totals, days and rows agree with what is stored; costs are those of the innermost runs."""
    page, runs = launches.page, stored[1]
    page.wait_for_selector(f"{LAUNCH_ROWS} >> text=publish.call-1")
    totals = page.inner_text(".totals")
    for status, name in [("failure", "failed"), ("timeout", "timed out"), ("partial", "partial")]:
        assert f"{sum(run['status'] == status for run in runs)} {name}" in totals
    assert totals.split()[0] == str(DAYS * A_DAY)
    assert shown(page)[:3] == ["deps-0", "audit-1", "bench-2"]
    assert page.inner_text(".day-row >> nth=0").split("\n")[0] == "Sat 31 Jan"
    failed = page.locator(LAUNCH_ROWS, has_text="bench-2").first
    assert failed.locator(".what").inner_text().split() == ["the", "model", "is", "overloaded", "publish.call-1"]
    assert failed.locator(".inside").inner_text().strip() == "1"
    assert failed.locator(".cost").inner_text() == "$1.25"
    succeeded = page.locator(LAUNCH_ROWS, has_text="audit-1").first
    assert succeeded.locator(".what").inner_text() == "nightly audit"
    assert succeeded.locator(".commits").inner_text() == commit_of("launch-1")[:7]
    page.evaluate("document.querySelector('.list').scrollTop = 1e9")
    expect(page.locator(".totals")).to_contain_text("commit")


def test_a_failed_launch_is_found_and_opened(launches: Visit) -> None:
    """One filters by status, opens the launch, and Back leads to the same launch in the same list."""
    page = launches.page
    page.click(".facet >> text=failed")
    wait_for_query(launches, "status")
    expect_no(page, "succeeded")
    assert statuses(page) == {"failed"}
    names = shown(page)
    page.click(f"{LAUNCH_ROWS} >> nth=1 >> .start")
    page.wait_for_url(re.compile(r"/ui/launch\?"))
    page.wait_for_selector(".page-launch")
    assert query_of(launches)["id"] == names[1]
    launches.go_back()
    page.wait_for_selector(".launches-row[aria-selected=true]")
    assert shown(page) == names
    assert page.inner_text(".launches-row[aria-selected=true] .name") == names[1]


@pytest.mark.parametrize("query", ["?status=failure,timeout&agent_name=bench-launcher", "?q=nightly+docs", "?range=30"])
def test_every_state_survives_reload(launches: Visit, query: str) -> None:
    """What is shown is what the address says, however one got there."""
    launches.open(query)
    launches.page.wait_for_load_state("networkidle")
    before = launches.page.inner_text(".launches-main")
    launches.reload()
    launches.page.wait_for_load_state("networkidle")
    assert launches.page.inner_text(".launches-main") == before


def test_filters_are_steps_for_back(launches: Visit) -> None:
    """Each choice adds to those before, and Back takes the last one away."""
    page = launches.page
    everything = shown(page)
    page.click(".facet >> text=bench-launcher")
    wait_for_query(launches, "agent_name")
    page.click(".facet >> text=failed")
    wait_for_query(launches, "status")
    assert page.get_attribute(".facet:has-text('failed')", "aria-pressed") == "true"
    expect_no(page, "succeeded")
    page.wait_for_selector(f"{LAUNCH_ROWS} .status [aria-label=failed]")
    launches.go_back()
    page.wait_for_url(re.compile(r"agent_name=bench-launcher$"))
    page.wait_for_selector(f"{LAUNCH_ROWS} .status [aria-label=succeeded]")
    assert all(name.startswith("bench-") for name in shown(page))
    launches.go_back()
    page.wait_for_selector(f"{LAUNCH_ROWS} >> text=deps-0")
    assert shown(page) == everything


def drag(visit: Visit, start: float, end: float) -> None:
    """Drag over the histogram, from one share of its width to another."""
    box = visit.page.locator(".brush").bounding_box()
    assert box
    visit.page.mouse.move(box["x"] + start * box["width"], box["y"] + 40)
    visit.page.mouse.down()
    visit.page.mouse.move(box["x"] + end * box["width"], box["y"] + 50, steps=4)
    visit.page.mouse.up()


def span_of(visit: Visit) -> tuple[datetime, datetime]:
    """Return the stretch of time in the address."""
    query = query_of(visit)
    return datetime.fromisoformat(query["from"]), datetime.fromisoformat(query["to"])


def test_a_stretch_of_time_is_selected_by_mouse(launches: Visit, stored: tuple[Api, list[Run]]) -> None:
    """Only its launches are listed, the histogram shows it alone, and Back leads out of it."""
    page = launches.page
    everything = shown(page)
    drag(launches, 0.5, 0.6)
    wait_for_query(launches, "from")
    begin, end = span_of(launches)
    expected = [run["run_id"] for run in stored[1] if begin <= datetime.fromisoformat(run["start_time"]) < end]
    assert 0 < len(expected) < len(stored[1])
    expect(page.locator(".totals strong")).to_have_text(str(len(expected)))
    assert shown(page) == expected
    launches.go_back()
    page.wait_for_selector(f"{LAUNCH_ROWS} >> text=deps-0")
    assert shown(page) == everything


def test_a_stretch_of_time_is_selected_by_keyboard(launches: Visit) -> None:
    """Arrows say what a column holds, Shift extends, Enter selects; Escape selects nothing."""
    page = launches.page
    page.focus(".brush")
    page.keyboard.press("End")
    assert "launch" in (page.get_attribute(".brush", "aria-valuetext") or "")
    page.keyboard.press("Escape")
    assert page.get_attribute(".brush", "aria-valuetext") == "Nothing is selected"
    for key in ("End", "Shift+ArrowLeft", "Shift+ArrowLeft", "Shift+ArrowLeft", "Enter"):
        page.keyboard.press(key)
    wait_for_query(launches, "from")
    begin, end = span_of(launches)
    assert end - begin == timedelta(hours=24)
    assert end > END


def test_a_stretch_of_time_is_selected_by_touch(visit_server: Visiting, stored: tuple[Api, list[Run]]) -> None:
    """A tap selects one column."""
    with visit_server(stored[0].url, size=PHONE, has_touch=True) as visit:
        open_page(visit)
        box = visit.page.locator(".brush").bounding_box()
        assert box
        visit.page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + 40)
        wait_for_query(visit, "from")
        begin, end = span_of(visit)
        assert end - begin == timedelta(hours=6)


def test_any_stretch_of_time_can_be_named(launches: Visit) -> None:
    """The fields of the form are in the zone that times are shown in."""
    page = launches.page
    page.click("text=Custom…")
    page.fill(".custom-range input >> nth=0", "2026-01-20T06:00")
    page.fill(".custom-range input >> nth=1", "2026-01-20T05:00")
    page.click(".custom-range button")
    assert "from" not in query_of(launches)
    page.fill(".custom-range input >> nth=1", "2026-01-22T06:30")
    page.click(".custom-range button")
    wait_for_query(launches, "from")
    assert query_of(launches) == {"from": "2026-01-20T06:00Z", "to": "2026-01-22T06:30Z"}
    expect(page.locator(".dates")).to_contain_text("20 Jan")
    expect(page.locator(LAUNCH_ROWS, has_text="deps-0")).to_have_count(0)
    assert shown(page)


def test_old_launches_are_shown_by_themselves_but_not_as_recent(launches: Visit) -> None:
    """If nothing started lately the page says so; a range that was chosen stays empty and leads to the newest."""
    page = launches.page
    assert "Nothing started in the last 14 days" in page.inner_text(".list-note")
    assert page.locator(".ranges [aria-pressed=true]").count() == 0
    page.keyboard.press("3")
    wait_for_query(launches, "range")
    page.wait_for_selector("text=The newest one started on Sat 31 Jan")
    assert page.inner_text(".ranges [aria-pressed=true]") == "7 d"
    page.click("text=Show the newest launches")
    page.wait_for_selector(f"{LAUNCH_ROWS} >> text=deps-0")


def test_everything_works_by_keyboard(launches: Visit) -> None:
    """`e` leaves only problems, `j` and `k` move between launches, Enter opens the active one."""
    page = launches.page
    page.keyboard.press("e")
    wait_for_query(launches, "status")
    expect_no(page, "succeeded")
    assert statuses(page) <= {"failed", "timed out", "partial", "cancelled"}
    names = shown(page)
    for key in ("j", "j", "j", "k"):
        page.keyboard.press(key)
    assert page.inner_text(".launches-row[aria-selected=true] .name") == names[1]
    launches.reload()
    page.wait_for_selector(".launches-row[aria-selected=true]")
    assert page.inner_text(".launches-row[aria-selected=true] .name") == names[1]
    page.keyboard.press("Escape")
    expect(page.locator(".launches-row[aria-selected=true]")).to_have_count(0)
    assert "at" not in query_of(launches)
    for key in ("ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/ui/launch\?"))
    assert query_of(launches)["id"] == names[1]


def test_keys_open_no_launch_of_the_list_before(launches: Visit) -> None:
    """After a search without a result there is nothing to move to, to open or to compare."""
    page = launches.page
    page.keyboard.press("j")
    wait_for_query(launches, "at")
    page.fill("input[type=search]", "no launch has this text")
    page.keyboard.press("Enter")
    expect(page.locator(".launches-content .empty")).to_be_visible()
    address = page.url
    for key in ("j", "o", "c"):
        page.keyboard.press(key)
    assert page.url == address
    launches.go_back()
    page.wait_for_selector(".launches-row[aria-selected=true]")


def test_an_empty_store_says_what_to_do_and_shows_what_comes(visit_server: Visiting, start: Start) -> None:
    """The command names this server; the first launch appears by itself."""
    with start() as api, visit_server(api.url) as visit:
        visit.open()
        visit.page.wait_for_selector("text=No launches yet")
        assert visit.page.inner_text(".command code") == f"runsink upload FILE --url {api.url}"
        upload(api, [make_launch(1, datetime.now(UTC))])
        visit.page.wait_for_selector(f"{LAUNCH_ROWS} >> text=audit-1")


def test_what_is_in_sight_stays_while_launches_come_in(visit_server: Visiting, start: Start) -> None:
    """New launches are added above; neither the row at the top of the window nor the active one changes."""
    now = datetime.now(UTC)
    # Whatever the time of day: seven launches on each of the days before, none today.
    end = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(hours=1)
    with start() as api, visit_server(api.url) as visit:
        upload_launches(api, end=end, days=6)
        open_page(visit)
        page = visit.page
        page.evaluate("document.querySelector('.list').scrollTop = 280")
        page.click(f"{LAUNCH_ROWS}[data-index='12'] .start", modifiers=[], no_wait_after=True)
        page.wait_for_url(re.compile(r"/ui/launch\?"))
        page.wait_for_selector(".page-launch")
        visit.go_back()
        page.wait_for_selector(".launches-row[aria-selected=true]")
        page.evaluate("document.querySelector('.list').scrollTop = 280")
        place = "document.querySelector('.launches-row[aria-selected=true]').getBoundingClientRect().top"
        before = page.evaluate(place), page.inner_text(".launches-row[aria-selected=true] .name")
        upload(api, [make_launch(1000 + number, now) for number in range(5)])
        page.wait_for_selector(".totals >> text=47")
        expect(page.locator(".list")).to_have_js_property("scrollTop", 280 + (1 + 5) * 28)
        assert (page.evaluate(place), page.inner_text(".launches-row[aria-selected=true] .name")) == before


def test_the_list_does_not_wait_for_the_figures(visit_server: Visiting, stored: tuple[Api, list[Run]]) -> None:
    """Launches are there while statistics and facets are not; they come later."""
    with visit_server(stored[0].url) as visit:
        held = visit.hold("**/api/v1/stats*")
        visit.open()
        visit.page.wait_for_selector(LAUNCH_ROWS)
        assert visit.page.locator(".chart rect").count() == 0
        visit.wait_until(lambda: bool(held))
        held[-1].continue_()
        visit.page.wait_for_selector(".chart rect")


def test_figures_that_are_not_complete_say_so(visit_server: Visiting, stored: tuple[Api, list[Run]]) -> None:
    """A store with more runs than are examined is not shown as if it had fewer."""

    def cut(route: "Route") -> None:
        response = route.fetch()
        cut_off = {"complete": False, "examined": 200_000, "from": "2026-01-20T06:00:00Z"}
        route.fulfill(response=response, body=json.dumps(response.json() | cut_off))

    with visit_server(stored[0].url) as visit:
        visit.page.route("**/api/v1/stats*", cut)
        open_page(visit)
        note = visit.page.inner_text(".chart-note").replace("\u2009", ",")
        assert note == "The figures are of the newest 200,000 launches. They begin with Tue 20 Jan 2026, 06:00:00."


def test_a_search_that_examined_all_it_may_goes_on_when_told_to(
    visit_server: Visiting, stored: tuple[Api, list[Run]]
) -> None:
    """A page without launches is not the end of the list: the next one is read by a button, not by itself."""
    api, launches = stored
    cursor = api.find(roots="true", limit=5).body["next_cursor"]
    asked: list[str] = []

    def find_nothing_at_first(route: "Route") -> None:
        asked.append(route.request.url)
        if "cursor=" in route.request.url:
            route.continue_()
        else:
            route.fulfill(json={"runs": [], "total": None, "limit": 50, "offset": 0, "next_cursor": cursor})

    with visit_server(api.url) as visit:
        visit.page.route("**/api/v1/runs?roots=true&start*q=*", find_nothing_at_first)
        visit.open("?q=nightly")
        visit.page.wait_for_selector("text=Search further back")
        visit.page.wait_for_load_state("networkidle")
        assert not [url for url in asked if "cursor=" in url]
        visit.page.click("text=Search further back")
        visit.page.wait_for_selector(LAUNCH_ROWS)
        assert shown(visit.page)[0] == launches[5]["run_id"]


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_texts_stay_texts(visit_server: Visiting, start: Start, kind: str) -> None:
    """In every field of a launch they run nothing, and rows keep their place and height."""
    text = HOSTILE[kind]
    names: dict[str, Any] = dict.fromkeys(("run_id", "agent_name", "error_summary"), text)
    with start() as api, visit_server(api.url) as visit:
        upload(api, [make_launch(2, datetime.now(UTC), **names), make_launch(1, datetime.now(UTC))])
        upload(api, [make_launch(5, datetime.now(UTC), git_repo=text, input_summary=text)])
        open_page(visit)
        page = visit.page
        assert page.title() == "Launches · runsink"
        assert page.locator("main img, main script, main h1").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= 1440
        heights = page.eval_on_selector_all(LAUNCH_ROWS, "rows => rows.map((row) => row.offsetHeight)")
        assert heights == [28, 28, 28]
        assert page.locator(LAUNCH_ROWS, has_text="audit-1").count() == 1


def test_ten_thousand_launches(visit_server: Visiting, start: Start) -> None:
    """Only rows in sight are in the document; the end of the list brings the next launches."""
    now = datetime.now(UTC)
    with start() as api, visit_server(api.url) as visit:
        upload(api, [make_launch(number, now - number * timedelta(minutes=2)) for number in range(10_000)])
        open_page(visit)
        page = visit.page
        page.wait_for_selector(".totals >> text=10\u2009000")
        # What is inside the launches is not known before all are loaded.
        expect(page.locator(".totals .muted")).to_contain_text("says $")
        expect(page.locator(".totals")).not_to_contain_text("commit")
        for launches in (50, 150, 250, 350):
            # With the row of headings, one or two of days, and what stands at the end.
            rows = re.compile(f"^({launches + 3}|{launches + 4})$")
            expect(page.locator(".list")).to_have_attribute("aria-rowcount", rows)
            assert page.locator(".list-row").count() <= MOST_ROWS
            page.evaluate("document.querySelector('.list').scrollTop = 1e9")


def test_phones_have_fewer_columns_and_filters_on_request(
    visit_server: Visiting, stored: tuple[Api, list[Run]], axe: str
) -> None:
    """Nothing is wider than the window, and the filters open by a button."""
    with visit_server(stored[0].url, size=PHONE) as visit:
        open_page(visit)
        page = visit.page
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
        assert not page.locator(".facets").is_visible()
        page.click("text=Filters")
        assert page.locator(".facets").is_visible()
        assert visit.violations(axe) == []
        page.click(".facet >> text=timed out")
        wait_for_query(visit, "status")
        page.click("text=Filters")
        expect(page.locator(f"{LAUNCH_ROWS} [aria-label='timed out']").first).to_be_visible()
        expect_no(page, "succeeded")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_full_of_launches_violates_no_guideline(
    visit_server: Visiting, stored: tuple[Api, list[Run]], axe: str, scheme: str
) -> None:
    """Also with every status, a range that is named, and an active row."""
    with visit_server(stored[0].url, color_scheme=scheme) as visit:
        open_page(visit)
        visit.page.click("text=Custom…")
        visit.page.keyboard.press("Escape")
        visit.page.keyboard.press("j")
        assert visit.violations(axe) == []
