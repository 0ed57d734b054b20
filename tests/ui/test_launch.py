"""The page of one launch, in a browser: its address, its keys, and what holds for all of it."""

import pytest

from tests.servers import Api, MakeRun
from tests.ui.browsers import PHONE, WIDE, Visit
from tests.ui.conftest import Visiting
from tests.ui.launch_page import LAUNCH, PANEL, ROW, at, names, open_launch, selected_name, settled, state

HOSTILE = (
    "<img src=x onerror=alert(1)><script>alert(2)</script>",
    "\u202eright to left override",
    "שלום עולם مرحبا",
    "👩‍👩‍👧‍👦" * 50,
    "a" * 5_000,
    "W" + "\u0300" * 500,
    "javascript:alert(3)",
    "{{constructor.constructor('alert(4)')()}}",
)


HOLD_FRAMES = """
const held = [];
window.requestAnimationFrame = (draw) => held.push(draw);
window.drawFrames = () => held.splice(0).forEach((draw) => draw(performance.now()));
"""


def test_rows_do_not_wait_for_what_is_computed_over_all_of_them(visit: Visit) -> None:
    """The panel and the minimap are filled once the rows are painted, with what is chosen by then."""
    visit.page.add_init_script(HOLD_FRAMES)
    visit.page.route("**/api/v1/limits", lambda route: route.abort())
    visit.page.route("**/api/v1/runs?event_id=*", lambda route: route.abort())
    open_launch(visit)
    assert visit.page.locator(f"{PANEL} section").count() == 0
    assert visit.page.get_attribute(".minimap-area", "d") is None
    visit.page.evaluate("drawFrames()")
    visit.page.wait_for_selector(f"{PANEL} .causes")
    assert visit.page.get_attribute(".minimap-area", "d") is not None
    visit.forgive("ERR_FAILED")


def test_a_launch_that_was_left_before_it_was_painted_is_not_shown(visit: Visit) -> None:
    """What was put off belongs to a page that is gone: it neither loads nor shows anything."""
    visit.page.add_init_script(HOLD_FRAMES)
    visit.page.route("**/api/v1/limits", lambda route: route.abort())
    visit.page.route("**/api/v1/runs?event_id=*", lambda route: route.abort())
    open_launch(visit)
    panel = visit.page.query_selector(PANEL)
    assert panel is not None
    visit.page.click("nav >> text=Runs")
    visit.page.wait_for_selector(".page-runs")
    visit.page.evaluate("drawFrames()")
    visit.page.evaluate("new Promise((done) => setTimeout(done))")
    assert panel.evaluate("panel => panel.childElementCount") == 0
    visit.forgive("ERR_FAILED")


def test_every_state_survives_reload_and_back(visit: Visit) -> None:
    """Folds, selection, zoom, filters and the critical path give the same picture again."""
    open_launch(visit)
    page = visit.page
    seen = [settled(visit)]
    for steps in (["n", "n", "n"], ["z"], ["c"], ["Escape", "0", "c", "e"], ["e", "2"], ["2", "x"]):
        for key in steps:
            page.keyboard.press(key)
        seen.append(settled(visit))
        visit.reload()
        page.wait_for_selector(ROW)
        after = settled(visit)
        assert after["rows"] == seen[-1]["rows"]
        assert after == seen[-1]
    page.click(f"{ROW} button.fold >> nth=1")
    folded = settled(visit)
    visit.reload()
    page.wait_for_selector(ROW)
    assert settled(visit)["rows"] == folded["rows"]


def test_back_goes_from_choice_to_choice(visit: Visit) -> None:
    """Back closes the details, then takes the filter off, then leaves the page."""
    visit.open()
    open_launch(visit)
    page = visit.page
    first = settled(visit)["rows"]
    page.keyboard.press("e")
    filtered = settled(visit)["rows"]
    page.keyboard.press("n")
    page.keyboard.press("n")
    page.wait_for_selector(f"{PANEL} .panel-head")
    visit.go_back()
    page.wait_for_selector(f"{PANEL} .causes")
    assert settled(visit)["rows"] == filtered
    visit.go_back()
    assert settled(visit)["rows"] == first
    visit.go_back()
    page.wait_for_url(f"{visit.url}/ui/")


def test_an_address_holds_only_what_differs_from_the_default(visit: Visit) -> None:
    """Whatever was done and undone leaves the address as it was."""
    open_launch(visit)
    before = state(visit)
    for key in ("e", "e", "c", "c", "3", "3", "x", "x", "+", "0", "n", "Escape"):
        visit.page.keyboard.press(key)
    assert {**state(visit), "folds": []} == {**before, "folds": []}
    visit.page.click(f"{ROW}:has-text('plan') button.fold")
    visit.page.click(f"{ROW}:has-text('plan') button.fold")
    assert state(visit) == before


def test_the_keyboard_alone_is_enough(visit: Visit) -> None:
    """Moving, opening, closing, stepping through problems and back out, without a mouse."""
    open_launch(visit)
    press = visit.page.keyboard.press
    press("j")
    press("j")
    assert selected_name(visit) == "plan"
    press("ArrowRight")
    press("ArrowRight")
    assert selected_name(visit) == "scan"
    press("ArrowLeft")
    assert selected_name(visit) == "plan"
    press("ArrowLeft")
    assert "scan" not in names(visit)
    press("k")
    assert selected_name(visit) == LAUNCH
    press("n")
    assert selected_name(visit) == "gate-glossary"
    press("p")
    assert "problem 12 of 12" in (visit.page.text_content(PANEL) or "")
    press("Escape")
    visit.page.wait_for_selector(f"{PANEL} .causes")
    visit.page.focus("[role=treegrid]")
    press("Home")
    press("End")
    press("ArrowUp")
    assert visit.page.get_attribute("[role=treegrid]", "aria-activedescendant")
    press("o")
    visit.page.wait_for_selector(f"h1:has-text('{LAUNCH}.')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_no_state_violates_the_guidelines(
    visit_server: Visiting, launch_server: Api, axe: str, size: tuple[int, int], scheme: str
) -> None:
    """WCAG 2.2 at level AA holds for a selected run, a filter, a zoom and the critical path as well."""
    with visit_server(launch_server.url, size=size, color_scheme=scheme) as visit:
        open_launch(visit)
        for keys in ("n", "zc", "ex"):
            for key in keys:
                visit.page.keyboard.press(key)
            settled(visit)
            assert visit.violations(axe) == []


def test_a_run_can_be_shown_alone(visit: Visit) -> None:
    """Any run opens as a launch of its own, and leads back to its parent."""
    open_launch(visit, f"{LAUNCH}.sign-in.de")
    assert names(visit)[0] == f"{LAUNCH}.sign-in.de"
    visit.page.keyboard.press("o")
    visit.page.wait_for_selector(f"h1:has-text('{LAUNCH}.dispatch')")
    visit.page.click(f".launch-title a:has-text('{LAUNCH}')")
    visit.page.wait_for_selector(f"{ROW}:has-text('plan')")


def test_a_launch_that_does_not_exist_is_told(visit: Visit) -> None:
    """In words, with a way back to the launches."""
    visit.open("launch?id=no%2Fsuch")
    visit.page.wait_for_selector("main >> text=There is no run no/such")
    visit.open("launch")
    visit.page.wait_for_selector("main >> text=No launch is named")
    visit.page.wait_for_selector("main a:has-text('Launches')")
    assert visit.page.get_attribute(".live", "data-state") == "live"
    visit.forgive("404")


def test_on_a_phone_nothing_is_wider_than_the_window(visit_server: Visiting, launch_server: Api) -> None:
    """The panel stands below, and a tap opens and selects."""
    with visit_server(launch_server.url, size=PHONE, has_touch=True) as visit:
        open_launch(visit)
        visit.page.tap(f"{ROW}:has-text('plan') button.fold")
        visit.page.tap(f"{ROW}:has-text('scan')")
        visit.page.wait_for_selector(f"{PANEL} >> text=13 of 214 pages changed")
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]


@pytest.mark.parametrize("width", [1440, 1024, 800, PHONE[0]])
def test_every_control_can_be_reached_at_every_width(visit_server: Visiting, launch_server: Api, width: int) -> None:
    """With a search and a zoom on, no control above the tree is cut off or covered."""
    with visit_server(launch_server.url, size=(width, 768)) as visit:
        open_launch(visit, query="&z=1000-60000&q=gate")
        covered = visit.page.evaluate(
            """() => [...document.querySelectorAll('.launch-tools :is(button, .shown)')].filter(control => {
                const {left, right, top, bottom} = control.getBoundingClientRect();
                const edges = right > left ? [left + 3, right - 3] : [];
                return edges.some(x => !control.contains(document.elementFromPoint(x, (top + bottom) / 2)));
            }).map(control => control.textContent)"""
        )
        assert covered == []
        assert visit.page.is_visible("button:has-text('“gate”')")
        visit.page.click("button[title='Show the whole launch']")
        assert "z" not in state(visit)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_hostile_texts_neither_run_nor_break_the_layout(
    visit_server: Visiting, server: Api, make_run: MakeRun, scheme: str
) -> None:
    """In every field that the page shows; nothing becomes an element, and no row leaves its place."""
    fields = ("agent_name", "job_type", "item_name", "error_summary", "error_details", "input_summary", "git_branch")
    runs = [
        make_run(
            run_id=f"{text}#{number}",
            parent_run_id=f"{HOSTILE[0]}#0" if number else None,
            status="failure",
            start_time=at(number),
            end_time=at(number + 1),
            **dict.fromkeys(fields, text),
            context_json={text: text},
        )
        for number, text in enumerate(HOSTILE)
    ]
    assert server.lenient(runs).counts[1] == len(runs)
    with visit_server(server.url, color_scheme=scheme) as visit:
        visit.page.on("dialog", lambda _dialog: visit.faults.append("a text ran"))
        open_launch(visit, f"{HOSTILE[0]}#0", "&depth=9")
        for _ in HOSTILE:
            visit.page.keyboard.press("n")
            visit.page.wait_for_selector(f"{PANEL} [aria-busy]", state="detached")
        visit.page.keyboard.press("Escape")
        assert visit.page.query_selector("main img, main script") is None
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= visit.page.evaluate("innerWidth")
        heights = visit.page.evaluate("[...document.querySelectorAll('.launch-row')].map(row => row.offsetHeight)")
        assert set(heights) == {24}
