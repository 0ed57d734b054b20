"""A request to each of two models with the client of OpenAI; the second never responds.

The argument says who instruments it.
"""

import os
import sys
from contextlib import suppress

from openai import APITimeoutError, OpenAI
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

if sys.argv[1] == "openinference":
    from openinference.instrumentation.openai import OpenAIInstrumentor
else:
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

provider = TracerProvider()
for exporter in (OTLPSpanExporter(), OTLPSpanExporter(f"{os.environ['SECOND_ENDPOINT']}/v1/traces")):
    provider.add_span_processor(BatchSpanProcessor(exporter))
OpenAIInstrumentor().instrument(tracer_provider=provider)

client = OpenAI(max_retries=0)
messages = [{"role": "system", "content": "canary: plan"}, {"role": "user", "content": "canary question"}]
client.chat.completions.create(model=os.environ["MODEL"], messages=messages)
with suppress(APITimeoutError):
    client.chat.completions.create(model=os.environ["SILENT_MODEL"], messages=messages, timeout=0.5)
provider.shutdown()
