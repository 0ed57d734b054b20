"""Spans of OpenTelemetry on the web page: a trace is a launch like any other, with the attributes of its spans."""

import json
from typing import Final

from tests.otlp import SPAN, TRACE, Exporter, export, span
from tests.servers import Api
from tests.ui.conftest import Visiting
from tests.ui.launch_page import PANEL, names, open_launch

CALL: Final = {
    "gen_ai.operation.name": "chat",
    "gen_ai.agent.name": "planner",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.usage.input_tokens": 1234,
    "gen_ai.usage.cost_usd": 0.25,
}


def test_a_trace_is_a_launch_with_the_attributes_of_its_spans(visit_server: Visiting, server: Api) -> None:
    """The tree is that of the trace; a span shows its error, tokens, cost, resource and attributes by their names."""
    agent = span(0, {"gen_ai.operation.name": "invoke_agent"}, name="invoke_agent planner")
    failed = {"code": 2, "message": "no quota left"}
    call = span(1, CALL, name="chat gpt-4o", parentSpanId=SPAN, status=failed)
    assert Exporter(server).send(export([agent, call], {"service.name": "fleet"})).status == 200
    with visit_server(server.url) as visit:
        open_launch(visit, f"{TRACE}-{SPAN}")
        assert names(visit) == ["invoke_agent planner", "chat gpt-4o"]
        visit.page.keyboard.press("n")
        visit.page.wait_for_selector(f"{PANEL} >> text=Identity")
        shown = visit.page.inner_text(PANEL).replace("\u2009", " ")
        assert "problem 1 of 1" in shown
        assert all(text in shown for text in ("no quota left", "1.50 s", "$0.250", "1 234", '"service.name": "fleet"'))
        # One to a line, as in JSON.
        assert all(f"\n{line}\n" in shown for line in json.dumps(CALL, indent=2, sort_keys=True).splitlines()[1:-1])
