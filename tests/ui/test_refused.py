"""The page of refused runs, in a browser."""

import json

import pytest

from tests.servers import Api, MakeRun
from tests.ui.browsers import PHONE, WIDE
from tests.ui.conftest import LAUNCH, Visiting
from tests.ui.hostile import HOSTILE

ROW = ".refused-row.list-row"
COUNT = "nav a[href=refused] .count"


def test_refused_runs_show_why_and_what_was_sent(server: Api, visit_server: Visiting) -> None:
    """The number stands in the header of every page; each run shows its fields, reasons and JSON as it was sent."""
    server.lenient(json.loads(LAUNCH.read_text(encoding="utf-8"))["runs"])
    with visit_server(server.url) as visit:
        visit.open("runs")
        visit.page.wait_for_selector(f"{COUNT} >> text=6")
        visit.page.click("nav a[href=refused]")
        visit.page.wait_for_selector(f"{ROW} >> nth=5")
        visit.page.click(f"{ROW} >> text=duration_ms must be an integer, not '634'")
        assert '"duration_ms": "634",\n' in (visit.page.text_content(".side .sent") or "")
        visit.reload()
        visit.page.wait_for_selector(f"{ROW}[aria-selected=true] >> text=duration_ms")
        visit.page.wait_for_selector(".side .reasons >> text=must be an integer")
        visit.page.keyboard.press("Escape")
        visit.page.wait_for_selector(".side", state="hidden")


def test_a_refused_run_leads_to_the_launch_of_its_parent(
    server: Api, visit_server: Visiting, make_run: MakeRun
) -> None:
    """However deep the parent is; one that is not stored is told."""
    server.lenient(
        [
            make_run(run_id="launch"),
            make_run(run_id="launch.stage", parent_run_id="launch"),
            make_run(run_id="bad", parent_run_id="launch.stage", status="exploded"),
            make_run(run_id="stray", parent_run_id="nobody", status="exploded"),
            make_run(run_id="alone", parent_run_id=None, status="exploded"),
        ]
    )
    with visit_server(server.url) as visit:
        visit.open("refused")
        visit.page.click(f"{ROW} >> text=alone")
        visit.page.wait_for_selector(".side >> text=What was sent")
        assert "Where it belongs" not in (visit.page.text_content(".side") or "")
        visit.page.click(f"{ROW} >> text=stray")
        visit.page.wait_for_selector(".side >> text=The parent is not stored.")
        visit.page.click(f"{ROW} >> text=bad")
        visit.page.click('.side a >> text="launch"')
        visit.page.wait_for_url("**/launch?id=launch&event_id=*&run=launch.stage")
        visit.wait_for_page()
        visit.page.wait_for_selector(".launch-row[aria-selected=true] >> text=stage")


def test_it_says_when_refusals_are_not_kept(visit_server: Visiting, launch_server: Api) -> None:
    """An empty list is not mistaken for a clean record, and one learns how to keep them."""
    with visit_server(launch_server.url) as visit:
        visit.open("refused")
        visit.page.wait_for_selector("text=This server does not keep the runs that it refuses")
        visit.page.wait_for_selector("pre >> text=runsink serve --keep-refusals")
        assert visit.page.query_selector(COUNT) is None


def test_it_follows_the_server(server: Api, visit_server: Visiting, make_run: MakeRun) -> None:
    """What is refused while somebody looks appears, also what is not JSON, and in the header."""
    with visit_server(server.url) as visit:
        visit.open("refused")
        visit.page.wait_for_selector("text=No run was refused")
        server.lenient([make_run(), make_run(run_id="bad", status="exploded")])
        visit.page.wait_for_selector(f"{ROW} >> text=status must be one of")
        visit.page.wait_for_selector(f"{COUNT} >> text=1")
        server.send("POST", "/api/v1/runs/stream", b"{no json\n", Content_Type="application/x-ndjson")
        visit.page.wait_for_selector(f"{ROW} >> text=no run_id")
        visit.page.click(f"{ROW} >> text=no run_id")
        visit.page.wait_for_selector("text=This is not JSON.")
        assert visit.page.text_content(".side .sent") == "{no json"


def test_filters_and_pages_are_in_the_address(server: Api, visit_server: Visiting, make_run: MakeRun) -> None:
    """One run or field can be selected; older ones are a page away, and Back returns."""
    server.lenient([make_run(run_id=f"run-{n}", status="exploded") for n in range(120)])
    server.lenient([make_run(run_id="late", duration_ms="12"), make_run()])
    with visit_server(server.url) as visit:
        visit.open("refused")
        visit.page.wait_for_selector(f"{COUNT} >> text=50+")
        visit.page.wait_for_selector(f"{ROW} >> text=late")
        visit.page.click("button:has-text('Older')")
        visit.page.wait_for_selector("button:has-text('Newest')")
        visit.page.wait_for_selector(f"{ROW}[data-index='0'] >> text=run-70")
        visit.reload()
        visit.page.wait_for_selector(f"{ROW}[data-index='0'] >> text=run-70")
        visit.go_back()
        visit.page.wait_for_selector(f"{ROW}[data-index='0'] >> text=late")
        visit.page.fill("label:has-text('Field') input", "duration_ms")
        visit.page.press("label:has-text('Field') input", "Enter")
        visit.page.wait_for_selector(f"{ROW}[data-index='1']", state="detached")
        visit.page.fill("label:has-text('Run') input", "run-7")
        visit.page.press("label:has-text('Run') input", "Enter")
        visit.page.wait_for_selector("text=No refused run matches.")
        assert visit.page.url.endswith("/ui/refused?field=duration_ms&run_id=run-7")


def test_a_body_that_was_cut_says_so(server: Api, visit_server: Visiting, make_run: MakeRun) -> None:
    """Beyond 64 KiB only the beginning is there."""
    server.lenient([make_run(), make_run(status="exploded", context_json={"text": "x" * 100_000})])
    with visit_server(server.url) as visit:
        visit.open("refused")
        visit.page.click(ROW)
        visit.page.wait_for_selector("text=/Only the beginning is kept; .* bytes are left out/")


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_hostile_texts_are_only_texts(
    server: Api, visit_server: Visiting, make_run: MakeRun, size: tuple[int, int]
) -> None:
    """Whatever was sent, nothing runs and nothing breaks the layout."""
    server.lenient([make_run(), *(make_run(run_id=text, event_id=text[:200], status=text) for text in HOSTILE)])
    with visit_server(server.url, size=size) as visit:
        visit.open("refused")
        visit.page.wait_for_selector(f"{ROW} >> nth=0")
        for _ in range(len(HOSTILE)):
            visit.page.keyboard.press("j")
            visit.page.wait_for_selector(".side .reasons")
            assert visit.page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert visit.page.title() == "Refused · runsink"
        assert visit.page.query_selector("main img, main script, main h1 + h1") is None
