"""Two runs of an agent of Pydantic AI: its tool is another agent, whose tool works once and then fails."""

import os
from contextlib import suppress

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pydantic_ai import Agent, InstrumentationSettings

provider = TracerProvider()
for exporter in (OTLPSpanExporter(), OTLPSpanExporter(f"{os.environ['SECOND_ENDPOINT']}/v1/traces")):
    provider.add_span_processor(BatchSpanProcessor(exporter))
Agent.instrument_all(InstrumentationSettings(tracer_provider=provider))

model = f"openai-chat:{os.environ['MODEL']}"
planner = Agent(model, name="planner", instructions="canary: plan")
forecaster = Agent(model, name="forecaster", instructions="canary: forecast")
stations = iter(["canary station"])


@planner.tool_plain
async def ask_forecaster(question: str) -> str:
    """Ask the forecaster."""
    return (await forecaster.run(question)).output


@forecaster.tool_plain
def weather(city: str) -> str:
    """Return the weather in a city."""
    for station in stations:
        return f"{station} in {city}: rain"
    raise ConnectionError("no station responds")


planner.run_sync("canary question")
with suppress(ConnectionError):
    planner.run_sync("canary question")
provider.shutdown()
