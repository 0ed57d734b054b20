"""Agents of OpenAI's SDK: a planner whose tool is a forecaster, which has a tool; instrumented as the argument says.

``fails`` makes the tool of the forecaster fail, which the model is told.
"""

import sys

from agents import Agent, Runner, function_tool, set_default_openai_api, set_trace_processors
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

instrumentation, model, *flags = sys.argv[1:]
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
set_default_openai_api("chat_completions")
if instrumentation == "openinference":
    from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

    OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)
else:
    from opentelemetry.instrumentation.openai_agents import OpenAIAgentsInstrumentor

    OpenAIAgentsInstrumentor(replace_existing_processors=True).instrument(tracer_provider=provider)


@function_tool
def weather(city: str) -> str:
    """Return the weather in a city."""
    if "fails" in flags:
        raise ConnectionError("no station responds")
    return f"canary weather in {city}"


forecaster = Agent("forecaster", instructions="canary instructions", tools=[weather], model=model)
ask = forecaster.as_tool("ask_forecaster", "Ask the forecaster.")
planner = Agent("planner", instructions="canary instructions", tools=[ask], model=model)
print(Runner.run_sync(planner, "canary question").final_output)
