"""What the page can show: addresses and keys that lead there, on a server that holds what the pictures show."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import attrs

from tests.ui.browsers import Visit
from tests.ui.screenshots import CAUSE, LAUNCH

LAUNCH_ROW: Final = "[role=treegrid] .list-row"


@attrs.frozen
class State:
    """What is opened, what is there once it is loaded, and what is pressed or clicked then."""

    address: str
    awaited: str
    keys: tuple[str, ...] = ()
    clicked: str = ""

    def reach(self, visit: Visit) -> None:
        """Lead a tab there."""
        visit.open(self.address)
        visit.page.wait_for_selector(self.awaited)
        for key in self.keys:
            visit.page.keyboard.press(key)
        if self.clicked:
            visit.page.click(self.clicked)
        visit.page.wait_for_load_state("networkidle")


STATES: Final[Mapping[str, State]] = {
    "launches": State("", ".chart rect", ("j",)),
    "launches, filtered": State("?status=failure,partial&agent_name=bench-launcher", ".list-row"),
    "launches, a range": State("", ".chart rect", clicked="text=Custom…"),
    "launches, none": State("?q=nowhere", "text=nowhere"),
    "launch": State(f"launch?id={LAUNCH}", ".refusals"),
    "launch, a run": State(f"launch?id={LAUNCH}&run={quote(CAUSE)}", ".panel-head"),
    "launch, problems and path": State(f"launch?id={LAUNCH}&only=problems&path=1", LAUNCH_ROW, ("n", "z")),
    "launch, everything": State(f"launch?id={LAUNCH}", LAUNCH_ROW, ("x",)),
    "launch, none": State("launch", "main h1"),
    "runs": State("runs", ".list-row"),
    "runs, a run": State("runs?run=launch-2-call", ".side .details"),
    "errors": State("errors", ".list-row", ("j",)),
    "commits": State("commits", ".list-row", ("j",)),
    "refused": State("refused", ".list-row", ("j",)),
    "compare": State("compare?a=bench-2&b=bench-6", ".list-row", ("j",)),
    "compare, differences": State(
        f"compare?a={LAUNCH}.install.de&b={LAUNCH}.sign-in.de&only=differences", ".list-row", ("j",)
    ),
    "compare, a choice": State("compare", ".suggestion"),
    "help": State("runs", ".list-row", ("?",)),
}
