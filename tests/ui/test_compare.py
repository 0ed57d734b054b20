"""The page that compares two launches, in a browser."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.servers import Api, MakeRun
from tests.ui.browsers import PHONE, WIDE, Visit
from tests.ui.conftest import Visiting
from tests.ui.hostile import HOSTILE

ROW = ".pair-row.list-row"
SELECTED = f"{ROW}[aria-selected=true]"
NOTHING, MINUS = "\u2013", "\u2212"


def launch(make_run: MakeRun, name: str, day: int, children: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the runs of a launch: its children by their names below it, each with what is special about it."""
    usual = {"agent_name": "planner", "status": "success", "duration_ms": 10_000}
    start = f"2026-01-{day:02}T12:00:00Z"
    root = make_run(run_id=name, start_time=start, **{**usual, "duration_ms": 60_000})
    below = [
        make_run(
            run_id=f"{name}.{child}",
            parent_run_id=f"{name}.{child}".rpartition(".")[0],
            start_time=f"2026-01-{day:02}T12:00:{n + 1:02}Z",
            **{**usual, **fields},
        )
        for n, (child, fields) in enumerate(children.items())
    ]
    return [root, *below]


@pytest.fixture
def two_launches(server: Api, make_run: MakeRun) -> Api:
    """Store two launches that differ in each of the ways that there are."""
    first = {
        "plan": {},
        "plan.call": {"metrics_json": {"cost_usd": 0.5, "total_tokens": 1000}},
        "build": {"status": "failure", "error_summary": "disk full"},
        "old": {},
        "slow": {},
    }
    second = {
        "plan": {},
        "plan.call": {"metrics_json": {"cost_usd": 1.75, "total_tokens": 3000}},
        "build": {},
        "new": {},
        "slow": {"duration_ms": 40_000},
    }
    server.lenient([*launch(make_run, "a", 30, first), *launch(make_run, "b", 31, second)])
    return server


def open_both(visit: Visit, query: str = "") -> None:
    """Compare the two launches."""
    visit.open(f"compare?a=a&b=b{query}")
    visit.page.wait_for_selector(ROW)


def test_differences_of_two_launches_are_found(two_launches: Api, visit_server: Visiting) -> None:
    """What only one has, changed statuses, and what changed most, as a whole and run by run."""
    with visit_server(two_launches.url) as visit:
        open_both(visit)
        assert visit.cells(".name") == ["a", "plan", "call", "build", "old", "new", "slow"]
        kinds = [visit.page.get_attribute(f"{ROW}[data-index='{n}']", "data-kind") for n in range(7)]
        assert kinds == ["amount", "amount", "amount", "status", "left", "right", "amount"]
        difference = visit.page.locator(".compare-facts .difference td.number").all_text_contents()
        assert difference == [NOTHING, NOTHING, f"{MINUS}1", "+2000", "+$1.25", NOTHING]
        side = visit.page.text_content(".side") or ""
        assert "slow+30.0 s" in side
        assert "plan / call+$1.25" in side


def test_only_differences_are_a_key_away(two_launches: Api, visit_server: Visiting) -> None:
    """The filter, the selected pair and what is folded survive reload and Back; arrows and `n p` move through it."""
    with visit_server(two_launches.url) as visit:
        open_both(visit)
        for key in "nnnn":
            visit.page.keyboard.press(key)
        assert visit.page.text_content(f"{SELECTED} .name") == "build"
        visit.page.wait_for_selector(".side >> text=disk full")
        visit.page.keyboard.press("p")
        assert visit.page.text_content(f"{SELECTED} .name") == "call"
        visit.page.keyboard.press("ArrowLeft")
        visit.page.keyboard.press("ArrowLeft")
        assert visit.cells(".name") == ["a", "plan", "build", "old", "new", "slow"]
        visit.reload()
        visit.page.wait_for_selector(ROW)
        assert visit.cells(".name") == ["a", "plan", "build", "old", "new", "slow"]
        assert visit.page.text_content(f"{SELECTED} .name") == "plan"
        visit.page.keyboard.press("e")
        visit.page.wait_for_url("**&only=differences*")
        visit.go_back()
        visit.page.wait_for_selector(".filters [aria-pressed=false]")
        visit.page.keyboard.press("x")
        visit.page.wait_for_selector(".compare-facts tbody tr:first-child >> text=b")
        assert "new" in visit.cells(".name")


def test_alike_runs_can_be_hidden(server: Api, visit_server: Visiting, make_run: MakeRun) -> None:
    """With differences only, what leads to them stays, and what is alike goes."""
    children: dict[str, dict[str, Any]] = {"x": {}, "x.one": {}, "x.two": {}, "y": {}, "y.one": {}}
    changed = {**children, "x.two": {"status": "timeout"}}
    server.lenient([*launch(make_run, "a", 30, children), *launch(make_run, "b", 31, changed)])
    with visit_server(server.url) as visit:
        open_both(visit)
        assert visit.cells(".name") == ["a", "x", "one", "two", "y"]
        visit.page.click("button:has-text('Differences only 1')")
        visit.page.wait_for_selector(f"{ROW}[data-index='3']", state="detached")
        assert visit.cells(".name") == ["a", "x", "two"]


def test_a_run_opens_in_its_launch(two_launches: Api, visit_server: Visiting) -> None:
    """The second launch is preferred; what only the first has opens there."""
    with visit_server(two_launches.url) as visit:
        open_both(visit)
        visit.page.click(f"{ROW} >> text=old")
        visit.page.keyboard.press("o")
        visit.page.wait_for_url("**/launch?id=a&*")
        visit.page.wait_for_selector(".page-launch")
        visit.go_back()
        visit.page.wait_for_selector(".page-compare")
        visit.page.wait_for_selector(SELECTED)
        visit.page.keyboard.press("k")
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_url("**/launch?id=b&*")


def test_launches_are_chosen_from_suggestions_or_named(two_launches: Api, visit_server: Visiting) -> None:
    """From a launch to the comparison with another one of its agent; a name that does not exist is explained."""
    with visit_server(two_launches.url) as visit:
        visit.open("launch?id=b")
        visit.page.wait_for_load_state("networkidle")
        visit.page.click("text=Compare…")
        visit.page.wait_for_selector("text=The latest launches of planner, as B")
        assert visit.page.locator(".suggestion .clip").all_text_contents() == ["a"]
        visit.page.click(".suggestion")
        visit.page.wait_for_selector(ROW)
        visit.go_back()
        visit.page.fill("input[name=b]", "none such")
        visit.page.press("input[name=b]", "Enter")
        visit.page.wait_for_selector("text=B: Run not found: none such")
        visit.page.fill("input[name=b]", "a")
        visit.page.press("input[name=b]", "Enter")
        visit.page.wait_for_selector(ROW)
        visit.forgive("404")


def test_a_running_launch_grows(two_launches: Api, visit_server: Visiting, make_run: MakeRun) -> None:
    """A run that arrives appears without a reload, and what is selected stays."""
    with visit_server(two_launches.url) as visit:
        open_both(visit)
        visit.page.click(f"{ROW} >> text=slow")
        two_launches.lenient([make_run(run_id="b.fresh", parent_run_id="b", start_time="2026-01-31T12:00:00Z")])
        visit.page.wait_for_selector(f"{ROW} >> text=fresh")
        assert visit.page.text_content(f"{SELECTED} .name") == "slow"


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_hostile_texts_are_only_texts(
    server: Api, visit_server: Visiting, make_run: MakeRun, size: tuple[int, int]
) -> None:
    """Whatever runs are called, nothing runs and nothing breaks the layout."""
    roots = [f"{side}{HOSTILE[0]}" for side in "ab"]
    below = [
        make_run(run_id=f"{root}.{text}", parent_run_id=root, item_name=text, status=status, error_summary=text)
        for root, status in zip(roots, ("success", "failure"), strict=True)
        for text in HOSTILE
    ]
    server.lenient([*(make_run(run_id=root, agent_name=HOSTILE[3]) for root in roots), *below])
    with visit_server(server.url, size=size) as visit:
        visit.open(f"compare?a={quote(roots[0], safe='')}")
        visit.page.wait_for_selector(".suggestion")
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= size[0]
        visit.page.click(".suggestion")
        visit.page.wait_for_selector(f"{ROW} >> nth=5")
        for _ in range(len(HOSTILE) + 1):
            visit.page.keyboard.press("n")
            assert visit.page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert visit.page.query_selector("main img, main script, main h1 + h1") is None


def test_launches_of_thousands_of_runs_stay_small(server: Api, visit_server: Visiting, make_run: MakeRun) -> None:
    """Only the rows in sight are in the document."""
    for name, day in (("a", 30), ("b", 31)):
        server.lenient([make_run(run_id=name, start_time=f"2026-01-{day}T12:00:00Z")], Prefer="return=minimal")
        for part in range(3):
            server.lenient(
                [
                    make_run(run_id=f"{name}.{part}.{n}", parent_run_id=name, start_time=f"2026-01-{day}T12:00:00Z")
                    for n in range(1000)
                ],
                Prefer="return=minimal",
            )
    with visit_server(server.url) as visit:
        open_both(visit)
        assert visit.page.get_attribute("[role=treegrid]", "aria-rowcount") == "3002"
        assert visit.page.evaluate("document.querySelectorAll('*').length") < 1500
