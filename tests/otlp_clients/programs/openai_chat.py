"""One request to a model with the client of OpenAI, which the package named by the argument instruments."""

import sys

import openai
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

instrumentation, model = sys.argv[1:]
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
if instrumentation == "openinference":
    from openinference.instrumentation.openai import OpenAIInstrumentor
else:
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor
OpenAIInstrumentor().instrument(tracer_provider=provider)

client = openai.OpenAI(timeout=0.5, max_retries=0)
answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "canary question"}])
print(answer.choices[0].message.content)
