"""The page of commits, in a browser."""

import pytest

from tests.servers import Api, MakeRun
from tests.ui.browsers import PHONE, WIDE, Visit
from tests.ui.conftest import Visiting
from tests.ui.hostile import HOSTILE

ROW = ".commit-row.list-row"
HASH = "0123456789abcdef0123456789abcdef01234567"


def test_commits_lead_to_their_launches(visit: Visit) -> None:
    """Each commit shows what it is about and who made it; its launch opens with the run of the commit selected."""
    visit.open("commits")
    visit.page.wait_for_selector(f"{ROW} >> text=Commit the translations of 2026-01-31 (ja)")
    assert visit.page.locator(ROW).count() == 4
    first = visit.page.locator(f"{ROW}[data-index='0']")
    first.locator("text=Docs Bot").wait_for()
    assert first.locator("[role=gridcell]").all_text_contents() == [
        "394b15d",
        "Commit the translations of 2026-01-31 (de)",
        "Docs Bot",
        "llm",
        "fernwood/docs",
        "docs-20260131-0900",
        "Sat 31 Jan 09:02",
    ]
    visit.page.keyboard.press("j")
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_url("**/launch?id=docs-20260131-0900&event_id=*&run=d398c4af-60d1-4ba5-a097-4825014d55a8")


def test_a_search_finds_commits_by_hash_and_text(visit: Visit) -> None:
    """It is in the address, together with the active commit."""
    visit.open("commits?q=eb33745")
    visit.page.wait_for_selector(ROW)
    assert visit.page.locator(f"{ROW} .hash").all_text_contents() == ["eb33745"]
    visit.page.keyboard.press("j")
    visit.reload()
    visit.page.wait_for_selector(f"{ROW}[aria-selected=true]")
    visit.page.fill("input[type=search]", "no such text")
    visit.page.press("input[type=search]", "Enter")
    visit.page.wait_for_selector("text=No run with this text has a commit.")
    visit.go_back()
    visit.page.wait_for_selector(ROW)


def test_the_order_is_in_the_address(server: Api, visit_server: Visiting, make_run: MakeRun) -> None:
    """The newest or the oldest first; chosen by keyboard, it survives reload, and Back takes it back."""
    server.lenient([make_run(commit_hash=f"{n}" * 40, start_time=f"2026-01-31T12:0{n}:00Z") for n in range(3)])
    hashes = ["2" * 7, "1" * 7, "0" * 7]
    with visit_server(server.url) as visit:
        visit.open("commits")
        visit.page.wait_for_selector(f"{ROW} >> nth=2")
        assert visit.cells(".hash") == hashes
        visit.page.focus("label:has-text('Order') select")
        visit.page.keyboard.press("O")
        visit.page.wait_for_url("**/commits?sort=oldest")
        assert visit.cells(".hash") == hashes[::-1]
        visit.reload()
        visit.page.wait_for_selector(f"{ROW} >> nth=2")
        assert visit.cells(".hash") == hashes[::-1]
        visit.go_back()
        visit.page.wait_for_selector(f"{ROW}[data-index='0'] >> text={hashes[0]}")
        assert visit.cells(".hash") == hashes


def test_only_known_hosts_are_linked(server: Api, visit_server: Visiting, make_run: MakeRun) -> None:
    """A commit of such a host has a link that tells it nothing; other repositories are names."""
    repositories = {
        "1": "https://github.com/fernwood/docs.git",
        "2": "https://git.example.org/fernwood/docs.git",
        "3": "javascript:alert(1)//github.com/a/b",
    }
    server.lenient(
        [
            make_run(run_id=f"launch-{digit}", git_repo=repository, commit_hash=digit * 40)
            for digit, repository in repositories.items()
        ]
    )
    with visit_server(server.url) as visit:
        visit.open("commits")
        visit.page.wait_for_selector(f"{ROW} >> nth=2")
        links = {
            shown[0]: visit.page.get_attribute(f".hash:text-is('{shown}')", "href") for shown in visit.cells(".hash")
        }
        assert links == {"1": f"https://github.com/fernwood/docs/commit/{'1' * 40}", "2": None, "3": None}
        assert visit.page.get_attribute(f"{ROW} .hash[href]", "rel") == "noreferrer noopener"


def test_what_is_looked_into_is_bounded_and_said(server: Api, visit_server: Visiting, make_run: MakeRun) -> None:
    """The commits of the newest 100 launches are listed; a button looks further back, also after a reload."""
    launches = [
        make_run(run_id=f"launch-{n}", start_time=f"2026-01-31T{n // 60:02}:{n % 60:02}:00Z") for n in range(150)
    ]
    launches[0].update(commit_hash=HASH, commit_source="manual", output_summary="the first one")
    server.lenient(launches, Prefer="return=minimal")
    with visit_server(server.url) as visit:
        visit.open("commits")
        visit.page.wait_for_selector("text=newest 100 launches were looked into, back to Sat 31 Jan 2026, 00:50:00.")
        visit.page.wait_for_selector("text=No commit so far.")
        visit.page.click("text=Look further back")
        visit.page.wait_for_selector(f"{ROW} >> text=the first one")
        visit.reload()
        visit.page.wait_for_selector(f"{ROW} >> text=the first one")
        assert visit.page.text_content(".page-head .muted") == "1 commit of 150 launches"


def test_commits_appear_as_they_are_made(server: Api, visit_server: Visiting, make_run: MakeRun) -> None:
    """One that is associated later appears without a reload."""
    run = make_run(output_summary="later")
    server.lenient([run])
    with visit_server(server.url) as visit:
        visit.open("commits")
        visit.page.wait_for_selector("text=No launch here led to a commit.")

        assert server.commit(run["event_id"], {"commit_hash": HASH, "commit_source": "ci"}).status == 200
        visit.page.wait_for_selector(f"{ROW} >> text=later")


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_hostile_texts_are_only_texts(
    server: Api, visit_server: Visiting, make_run: MakeRun, size: tuple[int, int]
) -> None:
    """Whatever runs say, nothing runs and nothing breaks the layout."""
    server.lenient(
        [
            make_run(
                run_id=text,
                git_repo=text,
                commit_author=text,
                output_summary=text,
                commit_hash=f"{n:040x}",
                commit_source="llm",
            )
            for n, text in enumerate(HOSTILE)
        ]
    )
    with visit_server(server.url, size=size) as visit:
        visit.open("commits")
        visit.page.wait_for_selector(f"{ROW} >> nth={len(HOSTILE) - 1}")
        visit.page.wait_for_load_state("networkidle")
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert visit.page.title() == "Commits · runsink"
        assert visit.page.query_selector("main img, main script, main h1 + h1") is None
