"""Instrumented agents and clients of models, unmodified, export what they do to a served process.

How they name things is theirs. What they send becomes the tree, types, status, usage and errors of runs. Each program
exports to two servers, of which only one keeps what people and models said.
"""

import json
from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from tests.otlp_clients.clients import SERVICE, Client, Reader, outline
from tests.otlp_clients.fake_model import (
    CACHED_TOKENS,
    CONTENT,
    INPUT_TOKENS,
    MODEL,
    OUTPUT_TOKENS,
    REASONING_TOKENS,
    SILENT_MODEL,
)
from tests.servers import Serve

USAGE = {
    "input_tokens": INPUT_TOKENS,
    "output_tokens": OUTPUT_TOKENS,
    "cache_read_tokens": CACHED_TOKENS,
    "reasoning_tokens": REASONING_TOKENS,
}
MODEL_TYPES = ("chat", "LLM")
MODEL_NAMES = ("gen_ai.response.model", "gen_ai.request.model", "llm.model_name")

SAID_TO_MODELS = [f"{CONTENT}: plan", f"{CONTENT} question", f"{CONTENT} answer"]
SAID_BY_AGENTS = [*SAID_TO_MODELS, f"{CONTENT}: forecast", f"{CONTENT} city", f"{CONTENT} station"]


@attrs.frozen
class Agent:
    """A program that runs an agent twice: what becomes of the run whose tool works, and of that whose tool fails."""

    client: Client
    works: str
    fails: str
    error: str
    priced: bool = False


PYDANTIC_AI = Agent(
    Client("pydantic_ai_agent.py"),
    works="""
planner: invoke_agent planner (invoke_agent) success
  planner: chat gpt-4o (chat) success
  planner: execute_tool ask_forecaster (execute_tool) success
    forecaster: invoke_agent forecaster (invoke_agent) success
      forecaster: chat gpt-4o (chat) success
      forecaster: execute_tool weather (execute_tool) success
      forecaster: chat gpt-4o (chat) success
  planner: chat gpt-4o (chat) success
""",
    fails="""
planner: invoke_agent planner (invoke_agent) failure
  planner: chat gpt-4o (chat) success
  planner: execute_tool ask_forecaster (execute_tool) failure
    forecaster: invoke_agent forecaster (invoke_agent) failure
      forecaster: chat gpt-4o (chat) success
      forecaster: execute_tool weather (execute_tool) failure
""",
    error="no station responds",
    priced=True,
)

_OPENINFERENCE_TREE = f"""
{SERVICE}: Agent workflow (AGENT) success
  {SERVICE}: Agent workflow (CHAIN) success
    {SERVICE}: planner (AGENT) success
      {SERVICE}: turn (CHAIN) success
        {SERVICE}: response (LLM) success
        {SERVICE}: ask_forecaster (TOOL) success
          {SERVICE}: Agent workflow (CHAIN) success
            {SERVICE}: forecaster (AGENT) success
              {SERVICE}: turn (CHAIN) success
                {SERVICE}: response (LLM) success
                {SERVICE}: weather (TOOL) success
              {SERVICE}: turn (CHAIN) success
                {SERVICE}: response (LLM) success
      {SERVICE}: turn (CHAIN) success
        {SERVICE}: response (LLM) success
"""
OPENINFERENCE = Agent(
    Client("openai_agent.py", ("openinference",)),
    works=_OPENINFERENCE_TREE,
    fails=_OPENINFERENCE_TREE.replace("weather (TOOL) success", "weather (TOOL) failure"),
    error="Error running tool",
)

_OPENLLMETRY_TREE = f"""
{SERVICE}: Agent Workflow (workflow) success
  planner: planner.agent (invoke_agent) success
    {SERVICE}: openai.response (chat) success
    {SERVICE}: ask_forecaster.tool (execute_tool) success
    {SERVICE}: openai.response (chat) success
  forecaster: forecaster.agent (invoke_agent) success
    {SERVICE}: openai.response (chat) success
    {SERVICE}: weather.tool (execute_tool) success
    {SERVICE}: openai.response (chat) success
"""
OPENLLMETRY = Agent(
    Client("openai_agent.py", ("openllmetry",)),
    works=_OPENLLMETRY_TREE,
    fails=_OPENLLMETRY_TREE.replace("weather.tool (execute_tool) success", "weather.tool (execute_tool) failure"),
    error="Error running tool",
)

Tree = list[dict[str, Any]]


@attrs.frozen
class Stored:
    """The trees of runs that became of one program, on a server with default settings and on one that keeps content."""

    plain: list[Tree]
    with_content: list[Tree]


def exported(serve: Serve, client: Client, model_url: str) -> Stored:
    """Run a program against the model and two new servers."""
    with (
        serve("--port", "0", "--db", "plain.db") as plain,
        serve("--port", "0", "--db", "content.db", "--otlp-content") as with_content,
    ):
        model = {"OPENAI_BASE_URL": model_url, "OPENAI_API_KEY": "any", "MODEL": MODEL, "SILENT_MODEL": SILENT_MODEL}
        client.run(plain.api.url, SECOND_ENDPOINT=with_content.api.url, **model)
        return Stored(Reader(plain.api).trees(), Reader(with_content.api).trees())


def assert_only_one_has_content(stored: Stored, said: Sequence[str]) -> None:
    """Fail unless everything that was said is kept where that is set, and nothing of it elsewhere."""
    text = json.dumps(stored.with_content)
    assert [phrase for phrase in said if phrase not in text] == []
    attributes = [pair for tree in stored.plain for run in tree for pair in run["context_json"]["attributes"].items()]
    assert {name for name, value in attributes if CONTENT in str(value)} == set()
    assert CONTENT not in json.dumps(stored.plain)


def assert_usage(runs: Tree, *, priced: bool) -> None:
    """Fail unless only the calls of the model have metrics: the usage that it reported, and any cost that was sent."""
    for run in runs:
        attributes, metrics = run["context_json"]["attributes"], run["metrics_json"]
        if run["job_type"] not in MODEL_TYPES:
            assert metrics is None
            continue
        assert MODEL in [attributes.get(name) for name in MODEL_NAMES]
        cost = {"cost_usd": attributes["operation.cost"]} if priced else {}
        assert metrics == {**USAGE, **cost}


@pytest.mark.parametrize(
    "agent", [PYDANTIC_AI, OPENINFERENCE, OPENLLMETRY], ids=["pydantic-ai", "openinference", "openllmetry"]
)
def test_agents_become_trees_of_runs(serve: Serve, model_url: str, agent: Agent) -> None:
    """The tool of the agent is another agent: every call is a run in its place, and only what failed has an error."""
    stored = exported(serve, agent.client, model_url)
    for works, fails in (stored.plain, stored.with_content):
        assert outline(works) == agent.works.strip().splitlines()
        assert outline(fails) == agent.fails.strip().splitlines()
        for run in [*works, *fails]:
            assert (agent.error in (run["error_summary"] or "")) == (run["status"] == "failure")
        assert_usage([*works, *fails], priced=agent.priced)
    assert_only_one_has_content(stored, SAID_BY_AGENTS)


@pytest.mark.parametrize(
    ("instrumentation", "job_type", "unanswered"),
    [("openinference", "LLM", "failure"), ("openllmetry", "chat", "timeout")],
    ids=["openinference", "openllmetry"],
)
def test_calls_of_models_become_runs(
    serve: Serve, model_url: str, instrumentation: str, job_type: str, unanswered: str
) -> None:
    """One that is answered, and one that is not; that this was a timeout is known where ``error.type`` says so."""
    stored = exported(serve, Client("openai_chat.py", (instrumentation,)), model_url)
    for (answered,), (silent,) in (stored.plain, stored.with_content):
        assert (answered["job_type"], answered["status"]) == (job_type, "success")
        assert (silent["job_type"], silent["status"], silent["metrics_json"]) == (job_type, unanswered, None)
        assert "Request timed out." in silent["error_summary"]
        assert "APITimeoutError" in silent["error_details"]
        assert_usage([answered], priced=False)
    assert_only_one_has_content(stored, SAID_TO_MODELS)
