"""The panel beside a launch, in a browser: causes, costs, refused runs, and the details of one run."""

import json
from urllib.parse import quote

from tests.servers import Api, MakeRun, Start
from tests.ui.browsers import Visit
from tests.ui.conftest import LAUNCH as EXAMPLE
from tests.ui.conftest import Visiting
from tests.ui.launch_page import LAUNCH, PANEL, at, open_launch, selected_name

TRAIL = """
panel => {
  const top = part => document.querySelector(part).getBoundingClientRect().top;
  const names = [...document.querySelectorAll(`${panel} .trail :is(button, .trail > .muted)`)];
  return [
    names.map(name => name.textContent),
    {panel: top(panel), closing: top(`${panel} [aria-label='Close the details']`)},
  ];
}
"""


def test_from_a_failed_launch_to_its_cause_to_its_commit(visit: Visit) -> None:
    """Each is one click away, and says what it is in words."""
    open_launch(visit)
    page = visit.page
    page.wait_for_load_state("networkidle")
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


def test_details_that_failed_to_load_are_loaded_once_the_server_recovers(visit: Visit) -> None:
    """Without selecting the run again."""
    open_launch(visit)
    visit.page.wait_for_load_state("networkidle")
    address = "**/api/v1/runs?event_id=*"
    visit.page.route(address, lambda route: route.fulfill(status=503, json={"detail": "overloaded"}), times=1)
    visit.page.keyboard.press("n")
    visit.page.wait_for_selector(f"{PANEL} >> text=Identity")
    visit.forgive("503")


def test_a_run_that_is_gone_by_the_time_its_details_load_is_told(visit: Visit) -> None:
    """What the tree knows of it stays, and nothing seems to be loading for ever."""
    open_launch(visit)
    visit.page.wait_for_load_state("networkidle")
    nothing = {"runs": [], "total": 0, "limit": 1, "offset": 0, "next_cursor": None}
    held = visit.hold("**/api/v1/runs?event_id=*")
    gone = "This run is no longer in the store. It may have been pruned."
    for key, details in (("n", f"4 of 55 checks of glossary failed{gone}"), ("j", gone)):
        visit.page.keyboard.press(key)
        visit.page.wait_for_selector(f"{PANEL} [aria-busy]")
        visit.wait_until(lambda: bool(held))
        held.pop().fulfill(json=nothing)
        visit.page.wait_for_selector(f"{PANEL} >> text={gone}")
        assert visit.page.text_content(f"{PANEL} .details") == details
        assert visit.page.query_selector(f"{PANEL} [aria-busy]") is None
        assert "Loading" not in (visit.page.text_content(PANEL) or "")


def test_what_is_above_a_deep_run_fits_into_the_panel(visit_server: Visiting, server: Api, make_run: MakeRun) -> None:
    """The launch and the nearest three are named, beside the button that closes the details."""
    runs = [
        make_run(run_id=f"level-{level}", parent_run_id=f"level-{level - 1}" if level else None, start_time=at(level))
        for level in range(150)
    ]
    assert server.lenient(runs).counts[1] == len(runs)
    with visit_server(server.url) as visit:
        open_launch(visit, "level-0", "&run=level-149")
        visit.page.wait_for_selector(f"{PANEL} .trail")
        # In one step: the panel is made anew when more of the launch arrives.
        names, heights = visit.page.evaluate(TRAIL, PANEL)
        assert names == ["level-0", "…", "level-146", "level-147", "level-148"]
        assert heights["closing"] - heights["panel"] < 20


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


def test_refused_runs_of_the_launch_are_listed(visit_server: Visiting, start: Start) -> None:
    """With the reason, and how many there are is said beside the number of runs."""
    runs = json.loads(EXAMPLE.read_text(encoding="utf-8"))["runs"]
    with start(keep_refusals=100) as server:
        assert server.lenient(runs).counts[3] == 6
        with visit_server(server.url) as visit:
            open_launch(visit)
            visit.page.wait_for_load_state("networkidle")
            visit.page.click(".facts button >> text=+6 refused")
            visit.page.wait_for_selector(f"{PANEL} .refusals >> text=convert.de.gate-placeholders")
            assert "Refused at upload 6" in (visit.page.text_content(f"{PANEL} .refusals") or "")
