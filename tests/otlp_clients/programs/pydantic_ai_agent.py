"""An agent of Pydantic AI whose tool is another agent, which has a tool of its own.

``model`` talks to the API of OpenAI, ``function`` is computed here. ``fails`` makes the inner tool fail.
"""

import sys

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

model_name, *flags = sys.argv[1:]
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
Agent.instrument_all()

model = TestModel(custom_output_text="canary answer") if model_name == "test" else f"openai-chat:{model_name}"
forecaster = Agent(model, name="forecaster", instructions="canary instructions")
planner = Agent(model, name="planner")


@forecaster.tool_plain
def weather(city: str) -> str:
    """Return the weather in a city."""
    if "fails" in flags:
        raise ConnectionError("no station responds")
    return f"canary weather in {city}"


@planner.tool_plain
async def ask_forecaster(question: str) -> str:
    """Ask the forecaster."""
    return (await forecaster.run(question)).output


print(planner.run_sync("canary question").output)
