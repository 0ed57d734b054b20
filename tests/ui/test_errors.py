"""The page of errors, in a browser."""

import pytest

from tests.servers import Api, MakeRun
from tests.ui.browsers import PHONE, WIDE, Visit
from tests.ui.conftest import Visiting
from tests.ui.hostile import HOSTILE

ROW = ".error-row.list-row"


def test_problems_are_grouped_by_what_they_say(visit: Visit) -> None:
    """Errors that differ in numbers are one; the most frequent is the first, and its launch is two keys away."""
    visit.open("errors")
    visit.page.wait_for_selector(ROW)
    assert visit.cells(".what")[:2] == ["the model is overloaded", "no complete answer within 60 s"]
    assert "the model refused twice" in visit.cells(".what")
    assert visit.page.text_content(f"{ROW}[data-index='0'] .runs") == "5"
    visit.page.keyboard.press("j")
    visit.page.wait_for_selector(".side .side-run:nth-of-type(5) >> text=in docs-20260131-0900")
    visit.page.keyboard.press("o")
    visit.page.wait_for_url("**/launch?id=docs-20260131-0900&event_id=*&run=*")


def test_numbers_vary_within_a_group(server: Api, visit_server: Visiting, make_run: MakeRun) -> None:
    """The details name the texts of a group, and how often each occurs."""
    runs = [make_run(status="failure", error_summary=f"{n} of 55 checks failed") for n in (1, 2, 2, 3)]
    server.lenient(
        [*runs, make_run(status="timeout", error_summary="4 of 55 checks failed"), make_run(status="success")]
    )
    with visit_server(server.url) as visit:
        visit.open("errors")
        visit.page.wait_for_selector(f"{ROW} >> nth=1")
        assert visit.page.text_content(".page-head .muted") == "2 kinds in 5 runs"
        visit.page.click(f"{ROW}[data-index='0']")
        assert visit.page.text_content(".side section:nth-of-type(2) h2") == "Texts 3"
        assert visit.page.text_content(".side .values li >> nth=0") == "2 of 55 checks failed2"


def test_filters_are_in_the_address(visit: Visit) -> None:
    """Status, agent, time, search and the chosen error survive reload and Back."""
    visit.open("errors")
    visit.page.wait_for_selector(ROW)
    everything = visit.cells(".what")
    visit.page.click(".toggles >> text=timed out")
    visit.page.wait_for_selector(f"{ROW}[data-index='2']", state="detached")
    visit.page.click(f"{ROW}[data-index='0']")
    visit.page.wait_for_selector(".side h2")
    visit.reload()
    visit.page.wait_for_selector(".side h2")
    assert visit.cells(".what") == ["no complete answer within 60 s", "no complete answer within 60 s, twice"]
    assert visit.page.get_attribute(f"{ROW}[data-index='0']", "aria-selected") == "true"
    visit.go_back()
    visit.page.wait_for_selector(".toggles [aria-pressed=true]", state="detached")
    visit.page.wait_for_selector(f"{ROW}[data-index='5']")
    assert visit.cells(".what") == everything
    visit.page.fill("label:has-text('Agent') input", "gate-glossary")
    visit.page.press("label:has-text('Agent') input", "Enter")
    visit.page.wait_for_url("**/errors?agent_name=gate-glossary")
    visit.page.wait_for_selector(f"{ROW}[data-index='2']", state="detached")
    visit.page.wait_for_selector(f"{ROW}[data-index='1']")
    assert set(visit.cells(".what")) == {"4 of 55 checks of glossary failed", "4 of 60 checks of glossary failed"}
    visit.page.select_option("select", "day")
    visit.page.wait_for_selector("text=No problem matches these filters.")


def test_the_order_is_in_the_address(server: Api, visit_server: Visiting, make_run: MakeRun) -> None:
    """By how often or by when; chosen by keyboard, it survives reload, and Back takes it back."""
    texts = ["often", "often", "late"]
    server.lenient(
        [
            make_run(status="failure", error_summary=text, start_time=f"2026-01-31T12:0{minute}:00Z")
            for minute, text in enumerate(texts)
        ]
    )
    with visit_server(server.url) as visit:
        visit.open("errors")
        visit.page.wait_for_selector(f"{ROW} >> nth=1")
        assert visit.cells(".what") == ["often", "late"]
        visit.page.focus("label:has-text('Order') select")
        visit.page.keyboard.press("N")
        visit.page.wait_for_url("**/errors?sort=last")
        assert visit.cells(".what") == ["late", "often"]
        visit.reload()
        visit.page.wait_for_selector(f"{ROW} >> nth=1")
        assert visit.cells(".what") == ["late", "often"]
        assert visit.page.input_value("label:has-text('Order') select") == "last"
        visit.go_back()
        visit.page.wait_for_selector(f"{ROW}[data-index='0'] >> text=often")
        assert visit.page.input_value("label:has-text('Order') select") == "runs"


def test_what_is_examined_is_bounded_and_said(server: Api, visit_server: Visiting, make_run: MakeRun) -> None:
    """Of many problems the newest 2,000 are grouped; a button goes on, also after a reload."""
    for minute in range(25):
        start = f"2026-01-31T12:{minute:02}:00Z"
        runs = [make_run(status="failure", error_summary=f"{n % 3} errors", start_time=start) for n in range(100)]
        server.lenient(runs, Prefer="return=minimal")
    with visit_server(server.url) as visit:
        visit.open("errors")
        visit.page.wait_for_selector("text=Only the newest 2\u2009000 were examined, back to")
        assert visit.page.text_content(".page-head .muted") == "1 kind in 2\u2009000 runs"
        visit.page.click("text=Examine more")
        visit.page.wait_for_selector("text=1 kind in 2\u2009500 runs")
        visit.reload()
        visit.page.wait_for_selector("text=1 kind in 2\u2009500 runs")


def test_new_problems_appear_and_solved_ones_go(server: Api, visit_server: Visiting, make_run: MakeRun) -> None:
    """The page follows the store without a reload, and says so when all is well."""
    with visit_server(server.url) as visit:
        visit.open("errors")
        visit.page.wait_for_selector("text=All is well.")
        run = make_run(status="failure", error_summary="disk full")
        server.lenient([run])
        visit.page.wait_for_selector(f"{ROW} >> text=disk full")
        server.patch(run["event_id"], {"status": "success"})
        visit.page.wait_for_selector("text=All is well.")


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_hostile_texts_are_only_texts(
    server: Api, visit_server: Visiting, make_run: MakeRun, size: tuple[int, int]
) -> None:
    """Whatever runs say, nothing runs, nothing breaks the layout, and every error can be looked at by keyboard."""
    server.lenient(
        [
            make_run(run_id=text, agent_name=text, status="failure", error_summary=text, parent_run_id=text)
            for text in HOSTILE
        ]
    )
    with visit_server(server.url, size=size) as visit:
        visit.open("errors")
        visit.page.wait_for_selector(ROW)
        for _ in range(len(HOSTILE)):
            visit.page.keyboard.press("j")
            visit.page.wait_for_selector(".side .side-run")
            assert visit.page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert visit.page.title() == "Errors · runsink"
        assert visit.page.query_selector("main img, main script, main h1 + h1") is None


def test_on_a_phone_the_details_take_the_place_of_the_list(visit_server: Visiting, launch_server: Api) -> None:
    """Esc and the cross lead back to it."""
    with visit_server(launch_server.url, size=PHONE) as visit:
        visit.open("errors")
        visit.page.click(f"{ROW} >> nth=1")
        visit.page.wait_for_selector(".side h2")
        assert not visit.page.is_visible(ROW)
        visit.page.click("[aria-label='Close the details']")
        visit.page.wait_for_selector(ROW)
        assert not visit.page.is_visible(".side")
