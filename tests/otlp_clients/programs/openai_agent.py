"""Two runs of an agent of OpenAI's SDK: its tool is another agent, whose tool works once and then fails.

The argument says who instruments it.
"""

import os
import sys

from agents import Agent, Runner, function_tool, set_trace_processors
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

if sys.argv[1] == "openinference":
    from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor
else:
    from opentelemetry.instrumentation.openai_agents import OpenAIAgentsInstrumentor

provider = TracerProvider()
for exporter in (OTLPSpanExporter(), OTLPSpanExporter(f"{os.environ['SECOND_ENDPOINT']}/v1/traces")):
    provider.add_span_processor(BatchSpanProcessor(exporter))
set_trace_processors([])  # that of OpenAI would send traces there
OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)
stations = iter(["canary station"])


@function_tool
def weather(city: str) -> str:
    """Return the weather in a city."""
    for station in stations:
        return f"{station} in {city}: rain"
    raise ConnectionError("no station responds")


model = os.environ["MODEL"]
forecaster = Agent("forecaster", instructions="canary: forecast", tools=[weather], model=model)
ask_forecaster = forecaster.as_tool("ask_forecaster", "Ask the forecaster.")
planner = Agent("planner", instructions="canary: plan", tools=[ask_forecaster], model=model)
for _ in range(2):
    Runner.run_sync(planner, "canary question")
provider.shutdown()
