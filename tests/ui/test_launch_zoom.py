"""The waterfall of a launch, in a browser: zoom, minimap, axis and critical path."""

import pytest

from tests.servers import Api
from tests.ui.browsers import PHONE, Visit
from tests.ui.conftest import Visiting
from tests.ui.launch_page import PANEL, ROW, SELECTED, open_launch, state

MINIMAP_AREA = ".minimap-area[d]"
"""Drawn once the launch is known; before, the minimap does nothing."""


def test_dragging_over_the_minimap_zooms(visit: Visit) -> None:
    """The stretch is in the address; a double click shows everything again."""
    open_launch(visit)
    page = visit.page
    page.wait_for_selector(MINIMAP_AREA, state="attached")
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


def test_stepping_to_a_problem_outside_the_zoom_shows_it(visit: Visit) -> None:
    """The stretch of time in sight moves to it, and keeps its length."""
    open_launch(visit, query="&z=1000-3000")
    visit.page.keyboard.press("n")
    assert visit.page.is_visible(f"{SELECTED} .bar")
    begin, end = (int(part) for part in state(visit)["z"][0].split("-"))
    assert end - begin == 2000
    assert begin <= 26_819
    assert end >= 27_089


@pytest.mark.parametrize("part", [".cause", ".jump", ".commits .jump"])
def test_what_the_panel_names_is_shown_in_the_waterfall(visit: Visit, part: str) -> None:
    """Causes, their runs and commits outside the zoom move the stretch of time in sight, which keeps its length."""
    open_launch(visit, query="&z=1000-3000")
    visit.page.click(f"{PANEL} {part} >> nth=0")
    visit.page.wait_for_selector(SELECTED)
    assert visit.page.is_visible(f"{SELECTED} .bar")
    begin, end = (int(part) for part in state(visit)["z"][0].split("-"))
    assert begin > 3000
    assert end - begin == 2000


def test_the_critical_path_has_no_marks_for_what_is_outside_the_zoom(visit: Visit) -> None:
    """A run whose bar is not in sight has none."""
    open_launch(visit, query="&path=1&depth=999&z=100000-120000")
    marked = visit.page.evaluate(
        """[...document.querySelectorAll('.launch-row')].filter(row =>
            row.querySelector('.bar').hidden && row.querySelector('.path path').getAttribute('d'))
            .map(row => row.innerText)"""
    )
    assert marked == []


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
        visit.page.wait_for_selector(MINIMAP_AREA, state="attached")
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
