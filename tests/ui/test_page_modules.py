"""The modules that pages are made of, in a browser: the virtual list, the details of a run, texts from outside."""

import json
from typing import Any

import pytest

from tests.servers import MakeRun
from tests.ui.browsers import Visit

ROW = 28
HOSTILE = {
    "markup": "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>",
    "closing": "</bdi></td></table></script><h1>out</h1>",
    "bidi": "safe\u202e\u2066gpj.exe\u2069\u202dtext\u200f",
    "rtl": "שלום עולם مرحبا بالعالم",
    "emoji": "👩‍👩‍👧‍👦" * 200,
    "combining": "z" + "\u0335\u0321" * 400,
    "long": "W" * 500_000,
    "lines": "line\n" * 5000,
}
LIST = """
async ({count, scrolls}) => {
  const {VirtualList} = await import("./assets/js/lib/virtual_list.js");
  const {el, setText} = await import("./assets/js/lib/dom.js");
  const told = [];
  const createRow = () => {
    const cell = el("span", {role: "gridcell"}, "");
    const link = el("a", {href: "#", tabindex: -1}, "link");
    return {
      element: el("div", null, cell, el("span", {role: "gridcell"}, link)),
      update: (index) => setText(cell, `row ${index}`),
    };
  };
  const header = el("div", {role: "row"}, el("span", {role: "columnheader"}, "Row"));
  const list = new VirtualList({
    label: "Numbers", rowHeight: 28, createRow, header,
    onActive: (index) => told.push(["active", index]),
    onOpen: (index) => told.push(["open", index]),
    onExpand: (index) => told.push(["expand", index]),
    onCollapse: (index) => told.push(["collapse", index]),
  });
  if (scrolls) list.element.style.cssText = "height: 500px; overflow: auto; flex: none";
  else list.element.style.cssText = "overflow: visible; flex: none";
  document.querySelector("main").replaceChildren(list.element);
  list.setCount(count);
  Object.assign(window, {list, told});
}
"""


def show_list(visit: Visit, count: int, *, scrolls: bool = True) -> None:
    """Show a list of numbered rows in place of a page."""
    visit.open("compare")
    visit.page.wait_for_selector("main h1")
    visit.page.evaluate(LIST, {"count": count, "scrolls": scrolls})
    visit.page.wait_for_selector(".list-row")


def rows_in_sight(visit: Visit) -> list[int]:
    """Return the numbers of the rows that are at least partly visible, from the top."""
    return sorted(
        visit.page.evaluate(
            """() => {
              const list = document.querySelector(".list").getBoundingClientRect();
              const head = document.querySelector(".list-head").getBoundingClientRect();
              const top = Math.max(list.top, 0) + head.height;
              const bottom = Math.min(list.bottom, innerHeight);
              return [...document.querySelectorAll(".list-row")]
                .filter((row) => row.getBoundingClientRect().bottom > top && row.getBoundingClientRect().top < bottom)
                .map((row) => Number(row.textContent.match(/row (\\d+)/)[1]));
            }"""
        )
    )


def settle(visit: Visit) -> None:
    """Wait until what was scrolled is drawn."""
    visit.page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")


@pytest.mark.parametrize("scrolls", [True, False], ids=["the list scrolls", "the document scrolls"])
def test_only_rows_in_sight_are_in_the_document(visit: Visit, *, scrolls: bool) -> None:
    """However far a list of 20,000 is scrolled, its rows are there without a gap, and never more than a few dozen."""
    show_list(visit, 20_000, scrolls=scrolls)
    target = "document.querySelector('.list')" if scrolls else "document.scrollingElement"
    for top in (0, 1, 777, 28 * 9000, 10_000_000, 28 * 40, 0):
        visit.page.evaluate(f"{target}.scrollTop = {top}")
        settle(visit)
        shown = rows_in_sight(visit)
        assert shown == list(range(shown[0], shown[-1] + 1))
        assert len(shown) >= 15
        assert visit.page.locator(".list-row").count() <= 60
        if top == 10_000_000:
            assert shown[-1] == 19_999
    visit.page.evaluate("list.setCount(3)")
    settle(visit)
    assert visit.page.locator(".list-row").count() == 3
    assert visit.page.get_attribute(".list", "aria-rowcount") == "4"


def test_keys_move_the_active_row_and_the_grid_keeps_the_focus(visit: Visit) -> None:
    """The row is in sight and pointed at, wherever the keys lead."""
    show_list(visit, 20_000)
    visit.page.focus(".list")
    for key, row in [
        ("ArrowDown", 0),
        ("ArrowDown", 1),
        ("End", 19_999),
        ("ArrowDown", 19_999),
        ("ArrowUp", 19_998),
        ("Home", 0),
        ("PageDown", 16),
        ("PageUp", 0),
        ("ArrowUp", 0),
    ]:
        visit.page.keyboard.press(key)
        settle(visit)
        assert row in rows_in_sight(visit)
        pointed = visit.page.get_attribute(".list:focus", "aria-activedescendant")
        active = visit.page.locator(f"#{pointed}")
        assert active.get_attribute("aria-rowindex") == str(row + 2)
        assert active.get_attribute("aria-selected") == "true"
        assert visit.page.locator("[aria-selected=true]").count() == 1
    for key in ("Enter", "ArrowRight", "ArrowLeft"):
        visit.page.keyboard.press(key)
    assert visit.page.evaluate("told.slice(-3)") == [["open", 0], ["expand", 0], ["collapse", 0]]


def test_the_focus_survives_the_reuse_of_a_row(visit: Visit) -> None:
    """A link in a row that is scrolled out of sight hands its focus to the grid."""
    show_list(visit, 20_000)
    visit.page.evaluate("document.querySelector('.list-row a').focus()")
    visit.page.evaluate("document.querySelector('.list').scrollTop = 100000")
    settle(visit)
    assert visit.page.evaluate("document.activeElement === list.element")


def test_a_click_on_a_row_opens_it_and_one_on_a_link_does_not(visit: Visit) -> None:
    """What stands in a row does what it says."""
    show_list(visit, 100)
    visit.page.click(".list-row >> text='row 3'")
    assert visit.page.evaluate("told") == [["active", 3], ["open", 3]]
    visit.page.evaluate("document.querySelector('main').addEventListener('click', (event) => event.preventDefault())")
    visit.page.click(".list-row a >> nth=5")
    assert visit.page.evaluate("told.length") == 2


def show_details(visit: Visit, run: dict[str, Any]) -> None:
    """Show the details of a run in place of a page."""
    visit.open("compare")
    visit.page.wait_for_selector("main h1")
    visit.page.evaluate(
        """async (run) => {
          const {runDetails} = await import("./assets/js/lib/run_details.js");
          const details = runDetails(run, {zone: "UTC", say: (text) => { document.title = text; }});
          document.querySelector("main").replaceChildren(details);
        }""",
        run,
    )


def test_details_show_every_field(visit: Visit, launch_server_runs: list[dict[str, Any]]) -> None:
    """Every value of every run of the launch is there, and its JSON is the run."""
    for run in launch_server_runs[:40]:
        show_details(visit, run)
        text = visit.page.inner_text(".details")
        for name, value in run.items():
            if isinstance(value, str) and name not in {"start_time", "end_time", "status"}:
                assert value in text, name
        for kept in ("metrics_json", "context_json", "extra"):
            assert all(name in text for name in run[kept] or ())
        visit.page.click(".details summary")
        assert json.loads(visit.page.text_content(".details details .long-text") or "") == run


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_texts_stay_texts(visit: Visit, make_run: MakeRun, kind: str) -> None:
    """In every field they are shown as they are, run nothing, reach nothing beside them, and never hold up the page."""
    text = HOSTILE[kind]
    names = ("run_id", "agent_name", "item_name", "error_summary", "error_details", "input_summary", "commit_author")
    run = make_run(status="failure", **dict.fromkeys(names, text), duration_ms=None, end_time=None)
    show_details(visit, {**run, "metrics_json": {text: text}, "context_json": {"deep": {text: [text]}}, "extra": {}})
    assert visit.page.title() != "run"
    assert visit.page.locator("main img, main script, main h1").count() == 0
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 1440
    assert visit.page.evaluate("document.querySelector('main').textContent.length") < 100_000
    shown = visit.page.text_content(".error_details") or ""
    assert shown.removesuffix("…") == text[: len(shown.removesuffix("…"))]
    if len(text) > 4000:
        visit.page.click(".texts button >> nth=0")
        assert (visit.page.text_content(".error_summary") or "") == text
