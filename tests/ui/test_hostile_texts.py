"""Texts that a run may hold do nothing to any page but stand there."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import pytest

from entrypoints.settings import Settings
from tests.properties.strategies import OPTIONAL_TEXTS, REQUIRED_TEXTS
from tests.servers import Api, running_server
from tests.ui.browsers import PHONE, WIDE, Visit
from tests.ui.conftest import Visiting
from tests.ui.hostile import HOSTILE

FIELDS: Final = tuple(name for name in (*REQUIRED_TEXTS, *OPTIONAL_TEXTS) if not name.endswith("run_id"))
LONG: Final = "W" * 500_000
FIELD_CHARACTERS: Final = 20_000
"""Of a text in every field, so that a run fits into what the server takes."""
NAME_BYTES: Final = 2000
"""Of a text in an id as an address holds it."""

MARKED: Final = "main img, main iframe, main script, main h1:text-is('out'), [onerror]"
"""What the texts would become if they were markup."""


WIDE_PANELS: Final = """
[...document.querySelectorAll("main .side, main .launch-panel, main .page-head")]
  .filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.className)
"""


def cut(text: str) -> str:
    """Return as much of a text as fits into an id."""
    while len(quote(text)) > NAME_BYTES:
        text = text[: len(text) * 3 // 4]
    return text


def name_of(number: int) -> str:
    """Return the id of a launch."""
    return f"{cut(HOSTILE[number])}#{number}"


def make_launch(number: int, text: str) -> list[dict[str, Any]]:
    """Return a failed launch that has the text in every field, and a run inside that made a commit."""
    start = datetime.now(UTC) - timedelta(minutes=number + 1)
    root = {
        **dict.fromkeys(FIELDS, text),
        "event_id": f"{text[:200]}#{number}",
        "run_id": name_of(number),
        "start_time": start.isoformat(),
        "status": "failure",
        "error_details": f"{text}\n{LONG}",
        "metrics_json": {text[:1000]: 1, "cost_usd": 1.5},
        "context_json": {text[:1000]: text},
        text[:1000]: [text],
    }
    inside = {
        "event_id": f"inside#{number}",
        "run_id": f"{name_of(number)}.{cut(text)}",
        "parent_run_id": name_of(number),
        "status": "success",
        "commit_hash": f"{number:07x}",
        "commit_source": "llm",
    }
    return [root, root | inside]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Start a server with hostile launches and hostile refused runs."""
    settings = Settings(port=0, db=tmp_path_factory.mktemp("hostile") / "runs.db", keep_refusals=100)
    with running_server(settings) as api:
        for number, text in enumerate(HOSTILE):
            runs = make_launch(number, text[:FIELD_CHARACTERS])
            assert api.lenient(runs, Prefer="return=minimal").counts[1] == len(runs)
            assert api.lenient([{**runs[0], "event_id": f"refused#{number}", "status": text}]).counts[3] == 1
        yield api


def addresses() -> dict[str, str]:
    """Return what is opened."""
    first, second = (quote(name_of(number), safe="") for number in (0, 1))
    event = quote(f"{HOSTILE[0][:200]}#0", safe="")
    return {
        "launches": "",
        "launch": f"launch?id={first}&depth=9",
        "launch of right-to-left text": f"launch?id={quote(name_of(4), safe='')}&run=inside%234",
        "run of a launch": f"launch?id={first}&run={event}",
        "runs": f"runs?run={event}",
        "errors": "errors",
        "commits": "commits",
        "refused": "refused",
        "compare": f"compare?a={first}&b={second}",
        "search": f"?q={quote(HOSTILE[0])}",
    }


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("name", addresses())
def test_texts_stay_texts(visit_server: Visiting, hostile: Api, name: str, size: tuple[int, int]) -> None:
    """On every page, with every row selected once: nothing runs, nothing becomes an element, nothing is too wide."""
    with visit_server(hostile.url, size=size) as visit:
        visit.page.on("dialog", lambda dialog: visit.faults.append(f"a text opened {dialog.message}"))
        visit.open(addresses()[name])
        visit.page.wait_for_selector("main h1")
        visit.page.wait_for_load_state("networkidle")
        expect_calm(visit, size[0])
        for _ in range(len(HOSTILE) + 1):
            visit.page.keyboard.press("j")
            expect_calm(visit, size[0])


def expect_calm(visit: Visit, width: int) -> None:
    """Fail if a text has done anything."""
    assert visit.page.locator(MARKED).count() == 0
    assert visit.page.title() != "run"
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visit.page.evaluate(WIDE_PANELS) == []
    heights = visit.page.evaluate("[...new Set([...document.querySelectorAll('.list-row')].map(r => r.offsetHeight))]")
    assert len(heights) <= 2, heights
