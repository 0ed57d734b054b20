"""The tree of a launch, in a browser: what is open, filtered and selected, and how it grows."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from tests.servers import Api, MakeRun
from tests.ui.browsers import Visit
from tests.ui.conftest import Visiting
from tests.ui.launch_page import LAUNCH, PANEL, ROW, SELECTED, at, names, open_launch, selected_name, state


def test_by_default_what_leads_to_a_cause_is_open(visit: Visit) -> None:
    """Everything else is one row, with the number of runs in it."""
    open_launch(visit)
    shown = names(visit)
    assert shown[:4] == [LAUNCH, "plan", "dispatch", "install.de"]
    assert "gate-glossary" in shown
    assert "scan" not in shown
    assert visit.page.text_content(f"{ROW}:has-text('plan') .badge") == "3"


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


def test_closing_a_run_takes_the_selection_with_it(visit: Visit) -> None:
    """What is selected is never hidden by a fold."""
    open_launch(visit)
    visit.page.keyboard.press("n")
    visit.page.click(f"{ROW}:has-text('dispatch') button.fold")
    assert selected_name(visit) == "dispatch"
    visit.page.wait_for_selector(f"{PANEL} h2:has-text('dispatch')")


def test_a_linked_run_is_brought_in_sight(visit: Visit) -> None:
    """A link that names a run by its name opens what is above it and selects it."""
    run = quote(f"{LAUNCH}.publish.fr.commit")
    open_launch(visit, query=f"&run={run}")
    visit.page.wait_for_selector(SELECTED)
    assert selected_name(visit) == "commit"
    assert visit.page.is_visible(SELECTED)


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
