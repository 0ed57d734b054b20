"""The page of one launch, in a browser: tree, waterfall, panel, and the state in its address."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, quote

import pytest

from tests.servers import Api, MakeRun, Start
from tests.ui.browsers import PHONE, WIDE, Visit
from tests.ui.conftest import LAUNCH as EXAMPLE
from tests.ui.conftest import Visiting

LAUNCH = "docs-20260131-0900"
ROW = "[role=treegrid] .list-row"
SELECTED = f"{ROW}[aria-selected=true]"
PANEL = ".launch-panel"
BEGIN = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)
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


def at(seconds: float) -> str:
    """Return the timestamp of a moment of a launch."""
    return (BEGIN + timedelta(seconds=seconds)).isoformat()


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
    visit.page.wait_for_load_state("networkidle")
    visit.page.wait_for_selector(f"{PANEL} [aria-busy]", state="detached")
    return picture(visit)


def test_from_a_failed_launch_to_its_cause_to_its_commit(visit: Visit) -> None:
    """Each is one click away, and says what it is in words."""
    open_launch(visit)
    page = visit.page
    assert "partial" in (page.text_content(".launch-title") or "")
    page.click(f"{PANEL} >> text=4 of 55 checks of glossary failed")
    page.wait_for_selector(f"{PANEL} >> text=threshold")
    assert selected_name(visit) == "gate-glossary"
    assert "sign-in.de" in (page.text_content(f"{PANEL} .trail") or "")
    page.click(".facts button >> text=4")
    page.click(f"{PANEL} >> text=Commit the translations of 2026-01-31 (fr)")
    page.wait_for_selector(f"{PANEL} >> text=33057f613ef34dc225fb1526e158c9df5972adae")
    assert selected_name(visit) == "commit"


def test_causes_are_told_from_what_recovered(visit: Visit) -> None:
    """A failed call is no cause if the next one succeeded, and it is still a problem to step through."""
    open_launch(visit)
    why = visit.page.text_content(f"{PANEL} .causes") or ""
    assert "budget of locale es used up" in why
    assert "webhooks.es.call-1" in why
    assert "tables.ja.call-1" not in why
    assert "tables.ja.call-1" in (visit.page.text_content(f"{PANEL} .recoveries") or "")
    visit.page.keyboard.press("n")
    assert "problem 1 of 12" in (visit.page.text_content(PANEL) or "")


def test_a_figure_of_its_own_is_shown_beside_the_sum(visit: Visit) -> None:
    """The launch reports more than its calls add up to, since one of them was refused."""
    open_launch(visit)
    facts = visit.page.text_content(".facts") or ""
    assert "$1.93says $1.97" in facts
    assert "model-translate55" in (visit.page.text_content(f"{PANEL} .agents tbody") or "")


def test_by_default_what_leads_to_a_cause_is_open(visit: Visit) -> None:
    """Everything else is one row, with the number of runs in it."""
    open_launch(visit)
    shown = names(visit)
    assert shown[:4] == [LAUNCH, "plan", "dispatch", "install.de"]
    assert "gate-glossary" in shown
    assert "scan" not in shown
    assert visit.page.text_content(f"{ROW}:has-text('plan') .badge") == "3"


def test_every_state_survives_reload_and_back(visit: Visit) -> None:
    """Folds, selection, zoom, filters and the critical path give the same picture again."""
    open_launch(visit)
    page = visit.page
    seen = [settled(visit)]
    for steps in (["n", "n", "n"], ["z"], ["c"], ["Escape", "0", "c", "e"], ["e", "2"], ["2", "x"]):
        for key in steps:
            page.keyboard.press(key)
        seen.append(settled(visit))
        page.reload()
        page.wait_for_selector(ROW)
        after = settled(visit)
        assert after["rows"] == seen[-1]["rows"]
        assert after == seen[-1]
    page.click(f"{ROW} button.fold >> nth=1")
    folded = settled(visit)
    page.reload()
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
    page.go_back()
    page.wait_for_selector(f"{PANEL} .causes")
    assert settled(visit)["rows"] == filtered
    page.go_back()
    assert settled(visit)["rows"] == first
    page.go_back()
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


def test_next_and_previous_follow_the_filter(visit: Visit) -> None:
    """With a search on, only the problems that it leaves are stepped through."""
    open_launch(visit, query="&q=gate-length")
    visit.page.keyboard.press("n")
    visit.page.wait_for_selector(f"{PANEL} >> text=problem 1 of 1")
    assert selected_name(visit) == "gate-length"
    visit.page.click("button:has-text('“gate-length”')")
    visit.page.wait_for_selector(f"{PANEL} >> text=of 12")


def test_a_search_without_a_match_says_so(visit: Visit) -> None:
    """And all runs are one click away."""
    open_launch(visit)
    visit.page.fill("input[type=search]", "no such text")
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector("main >> text=No run of this launch matches")
    visit.page.click("button:has-text('“no such text”')")
    visit.page.wait_for_selector(f"{ROW}:has-text('plan')")


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


def test_closing_a_run_takes_the_selection_with_it(visit: Visit) -> None:
    """What is selected is never hidden by a fold."""
    open_launch(visit)
    visit.page.keyboard.press("n")
    visit.page.click(f"{ROW}:has-text('dispatch') button.fold")
    assert selected_name(visit) == "dispatch"
    visit.page.wait_for_selector(f"{PANEL} h2:has-text('dispatch')")


def test_dragging_over_the_minimap_zooms(visit: Visit) -> None:
    """The stretch is in the address; a double click shows everything again."""
    open_launch(visit)
    page = visit.page
    box = page.query_selector(".minimap").bounding_box()  # type: ignore[union-attr]
    assert box
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.25, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, middle, steps=4)
    page.mouse.up()
    begin, end = (int(part) for part in state(visit)["z"][0].split("-"))
    assert begin == pytest.approx(187_621 / 4, rel=0.02)
    assert end == pytest.approx(187_621 / 2, rel=0.02)
    page.mouse.dblclick(box["x"] + 5, middle)
    assert "z" not in state(visit)


def test_zooming_keeps_the_selected_run_in_sight(visit: Visit) -> None:
    """In and out around it, and sideways by a share of what is in sight."""
    open_launch(visit)
    press = visit.page.keyboard.press
    press("n")
    press("z")
    closest = state(visit)["z"]
    press("-")
    assert state(visit)["z"] != closest
    press("+")
    press(".")
    press(",")
    begin, end = (int(part) for part in state(visit)["z"][0].split("-"))
    assert begin <= 26_819
    assert end >= 27_089


def test_the_critical_path_reaches_from_the_start_to_the_end(visit: Visit) -> None:
    """Only the runs that everything waited for stand out."""
    open_launch(visit)
    visit.page.keyboard.press("c")
    assert visit.page.query_selector(f"{ROW}.off-path:has-text('install.de')")
    assert visit.page.query_selector(f"{ROW}:not(.off-path):has-text('install.es')")


def test_a_linked_run_is_brought_in_sight(visit: Visit) -> None:
    """A link that names a run by its name opens what is above it and selects it."""
    run = quote(f"{LAUNCH}.publish.fr.commit")
    open_launch(visit, query=f"&run={run}")
    visit.page.wait_for_selector(SELECTED)
    assert selected_name(visit) == "commit"
    assert visit.page.is_visible(SELECTED)


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
    visit.forgive("404")
    visit.open("launch")
    visit.page.wait_for_selector("main >> text=No launch is named")
    visit.page.wait_for_selector("main a:has-text('Launches')")
    assert visit.page.get_attribute(".live", "data-state") == "live"


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


def test_details_that_failed_to_load_are_loaded_once_the_server_recovers(visit: Visit) -> None:
    """Without selecting the run again."""
    open_launch(visit)
    visit.page.wait_for_load_state("networkidle")
    address = "**/api/v1/runs?event_id=*"
    visit.page.route(address, lambda route: route.fulfill(status=503, json={"detail": "overloaded"}), times=1)
    visit.page.keyboard.press("n")
    visit.page.wait_for_selector(f"{PANEL} >> text=Identity")
    visit.forgive("503")


def test_the_selected_run_stays_in_sight_while_rows_come_and_go(visit: Visit) -> None:
    """Whichever key opens, closes or filters what stands above it."""
    open_launch(visit)
    visit.page.keyboard.press("p")
    name = selected_name(visit)
    for key in ("x", "x", "e", "e", "9", "9", "x"):
        visit.page.keyboard.press(key)
        assert selected_name(visit) == name
        assert visit.page.evaluate(
            """selected => {
                const row = document.querySelector(selected).getBoundingClientRect();
                const list = document.querySelector('.list').getBoundingClientRect();
                return row.top > list.top - 1 && row.bottom < list.bottom + 1;
            }""",
            SELECTED,
        ), key


def test_only_problems_and_back_keeps_the_folds(visit: Visit) -> None:
    """A filter that is taken off again leaves the tree as it was."""
    open_launch(visit)
    visit.page.click(f"{ROW}:has-text('plan') button.fold")
    before = names(visit)
    visit.page.keyboard.press("e")
    assert names(visit) != before
    visit.page.keyboard.press("e")
    assert names(visit) == before


def test_stepping_to_a_problem_outside_the_zoom_shows_it(visit: Visit) -> None:
    """The stretch of time in sight moves to it, and keeps its length."""
    open_launch(visit, query="&z=1000-3000")
    visit.page.keyboard.press("n")
    assert visit.page.is_visible(f"{SELECTED} .bar")
    begin, end = (int(part) for part in state(visit)["z"][0].split("-"))
    assert end - begin == 2000
    assert begin <= 26_819
    assert end >= 27_089


def test_the_critical_path_has_no_marks_for_what_is_outside_the_zoom(visit: Visit) -> None:
    """A run whose bar is not in sight has none."""
    open_launch(visit, query="&path=1&depth=999&z=100000-120000")
    marked = visit.page.evaluate(
        """[...document.querySelectorAll('.launch-row')].filter(row =>
            row.querySelector('.bar').hidden && row.querySelector('.path path').getAttribute('d'))
            .map(row => row.innerText)"""
    )
    assert marked == []


def test_what_is_above_a_deep_run_fits_into_the_panel(visit_server: Visiting, server: Api, make_run: MakeRun) -> None:
    """The launch and the nearest three are named, beside the button that closes the details."""
    runs = [
        make_run(run_id=f"level-{level}", parent_run_id=f"level-{level - 1}" if level else None, start_time=at(level))
        for level in range(150)
    ]
    assert server.lenient(runs).counts[1] == len(runs)
    with visit_server(server.url) as visit:
        open_launch(visit, "level-0", "&run=level-149")
        trail = visit.page.wait_for_selector(f"{PANEL} .trail")
        assert trail
        assert [span.text_content() for span in trail.query_selector_all("button, :scope > .muted")] == [
            *("level-0", "…", "level-146", "level-147", "level-148")
        ]
        tops = [visit.page.locator(part).bounding_box() for part in (PANEL, "[aria-label='Close the details']")]
        assert tops[0]
        assert tops[1]
        assert tops[1]["y"] - tops[0]["y"] < 20


def test_names_of_fields_break_between_words_only(visit: Visit) -> None:
    """However narrow the panel is, every word of a name stands on one line."""
    visit.page.set_viewport_size({"width": 800, "height": 768})
    open_launch(visit, query=f"&run={quote(f'{LAUNCH}.webhooks.es.call-1')}")
    visit.page.wait_for_selector(f"{PANEL} >> text=Metrics")
    broken = visit.page.evaluate(
        """() => [...document.querySelectorAll('.details dt bdi')].flatMap(name => [...name.childNodes])
          .filter(part => {
            const range = document.createRange();
            range.selectNodeContents(part);
            return part instanceof Text && range.getClientRects().length > 1;
        }).map(part => part.data)"""
    )
    assert broken == []


@pytest.mark.parametrize("width", [1440, 1180, 1024])
def test_no_label_of_the_axis_is_cut_off(visit_server: Visiting, launch_server: Api, width: int) -> None:
    """Each ends before the edge of the waterfall, also where a tick stands at the very edge."""
    with visit_server(launch_server.url, size=(width, 768)) as visit:
        for query in ("", "&z=0-180000", "&z=0-31000", "&z=61000-61100"):
            open_launch(visit, query=query)
            visit.page.wait_for_selector(".axis span")
            assert visit.page.evaluate(
                """() => {
                    const axis = document.querySelector('.axis');
                    const right = axis.getBoundingClientRect().right;
                    return [...axis.children].every(label =>
                        !label.textContent || label.getBoundingClientRect().right <= right + 1);
                }"""
            ), query


def test_a_swipe_over_the_minimap_of_a_phone_scrolls(visit_server: Visiting, launch_server: Api) -> None:
    """Only a drag to the side zooms."""
    with visit_server(launch_server.url, size=PHONE, has_touch=True) as visit:
        open_launch(visit)
        box = visit.page.locator(".minimap").bounding_box()
        assert box
        x, y = box["x"] + 100, box["y"] + 20
        touch = visit.page.context.new_cdp_session(visit.page)
        for step in range(12):
            points = [{"x": x + step, "y": y - 10 * step}]
            kind = "touchMove" if step else "touchStart"
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert visit.page.evaluate(
            """async () => {
                for (let frame = 0; frame < 100 && scrollY === 0; frame++) await new Promise(requestAnimationFrame);
                return scrollY > 0;
            }"""
        )
        assert "z" not in state(visit)


def test_cycles_repeated_names_and_missing_parents_are_shown(
    visit_server: Visiting, server: Api, make_run: MakeRun
) -> None:
    """Each run stands in one row, whatever its parents claim."""
    runs = [
        make_run(run_id="a", parent_run_id="c", start_time=at(0), end_time=at(9)),
        make_run(run_id="b", parent_run_id="a", start_time=at(1), end_time=at(8)),
        make_run(run_id="c", parent_run_id="b", start_time=at(2), end_time=at(7)),
        make_run(run_id="twin", event_id="twin-1", parent_run_id="b", status="failure", start_time=at(3)),
        make_run(
            run_id="twin", event_id="twin-2", status="success", parent_run_id="b", start_time=at(4), end_time=at(5)
        ),
        make_run(run_id="orphan", parent_run_id="nobody", start_time=at(0), end_time=at(1)),
        make_run(run_id="own", parent_run_id="own", start_time=at(0), end_time=at(1)),
    ]
    assert server.lenient(runs).counts[1] == len(runs)
    with visit_server(server.url) as visit:
        open_launch(visit, "a", "&depth=9")
        assert sorted(names(visit)) == ["a", "b", "c", "twin", "twin"]
        visit.page.click(f"{ROW}:has-text('twin') >> nth=1")
        assert state(visit)["run"] == ["twin-2"]
        for alone in ("orphan", "own"):
            open_launch(visit, alone)
            assert names(visit) == [alone]
        visit.page.click(".launch-title a:has-text('own')")
        open_launch(visit, "twin", "&event_id=twin-2")
        assert visit.page.get_attribute(ROW, "data-status") == "success"


def test_a_launch_in_progress_grows_where_it_stands(visit_server: Visiting, server: Api, make_run: MakeRun) -> None:
    """What comes later appears; the selection, the folds and what is at the top of the list stay."""
    began = datetime.now(UTC) - timedelta(minutes=10)

    def worker(number: int, seconds: float) -> Any:
        start = (began + timedelta(seconds=seconds)).isoformat()
        return make_run(run_id=f"live.w{number:03}", parent_run_id="live", start_time=start, end_time=start)

    root = make_run(run_id="live", event_id="root", status="running", start_time=began.isoformat())
    assert server.lenient([root, *(worker(number, 60 + number) for number in range(100))]).counts[1] == 101
    with visit_server(server.url) as visit:
        open_launch(visit, "live")
        page = visit.page
        assert "Running for" in (page.text_content(".facts") or "")
        page.evaluate("document.querySelector('.list').scrollTop = 1000")
        page.click(f"{ROW}:has-text('w050')")
        page.keyboard.press("c")
        top = page.evaluate("document.querySelector('.list').scrollTop")
        # They start earlier than all others, so they stand above what is in sight.
        assert server.lenient([worker(900 + number, number) for number in range(10)]).counts[1] == 10
        page.wait_for_selector(".shown >> text=111 of 111")
        assert page.evaluate("document.querySelector('.list').scrollTop") == top + 10 * 24
        assert selected_name(visit) == "w050"
        assert server.patch("root", {"status": "success"}).status == 200
        page.wait_for_selector(".chip >> text=succeeded")


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


def test_a_launch_beyond_the_limit_is_shown_in_part(visit_server: Visiting, server: Api, make_run: MakeRun) -> None:
    """The page says so, and a large launch takes no more elements than a small one."""
    count = 20_010
    runs = [make_run(run_id="large", start_time=at(0), end_time=at(count))]
    runs += [
        make_run(run_id=f"large.{number}", parent_run_id="large", start_time=at(number), end_time=at(number + 5))
        for number in range(1, count)
    ]
    for first in range(0, count, 1000):
        assert server.lenient(runs[first : first + 1000], Prefer="return=minimal").status == 201
    with visit_server(server.url) as visit:
        open_launch(visit, "large")
        visit.page.wait_for_selector("main .notice >> text=20\u2009010 runs. Below are the first 20\u2009000")
        assert "20\u2009010" in (visit.page.text_content(".facts") or "")
        visit.page.focus("[role=treegrid]")
        visit.page.keyboard.press("End")
        visit.page.wait_for_selector(f"{SELECTED}:has-text('19999')")
        assert visit.page.evaluate("document.querySelectorAll('*').length") <= 1500


def test_refused_runs_of_the_launch_are_listed(visit_server: Visiting, start: Start) -> None:
    """With the reason, and how many there are is said beside the number of runs."""
    runs = json.loads(EXAMPLE.read_text(encoding="utf-8"))["runs"]
    with start(keep_refusals=100) as server:
        assert server.lenient(runs).counts[3] == 6
        with visit_server(server.url) as visit:
            open_launch(visit)
            visit.page.click(".facts button >> text=+6 refused")
            visit.page.wait_for_selector(f"{PANEL} .refusals >> text=convert.de.gate-placeholders")
            assert "Refused at upload 6" in (visit.page.text_content(f"{PANEL} .refusals") or "")
