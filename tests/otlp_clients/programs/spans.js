/** The spans of `spans.py` by the JavaScript SDK. The argument is the encoding, the environment sets the rest. */

import { DiagConsoleLogger, DiagLogLevel, SpanKind, SpanStatusCode, diag } from "@opentelemetry/api";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { detectResources, envDetector } from "@opentelemetry/resources";

diag.setLogger(new DiagConsoleLogger(), DiagLogLevel.WARN);
const exporter = process.argv[2] === "json" ? new JsonExporter() : new ProtobufExporter();
const provider = new NodeTracerProvider({
  resource: detectResources({ detectors: [envDetector] }),
  spanProcessors: [new BatchSpanProcessor(exporter)],
});
provider.register();
const tracer = provider.getTracer("made-up", "1.0");

/** Run `during` in a new span of this operation, and end the span. */
function within(name, operation, during, kind = SpanKind.INTERNAL) {
  const attributes = { "gen_ai.operation.name": operation };
  tracer.startActiveSpan(name, { kind, attributes }, (span) => {
    during(span);
    span.end();
  });
}

function chat(span) {
  span.setAttributes({
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1200,
    "gen_ai.usage.output_tokens": 34,
    "gen_ai.usage.cost": 0.0125,
    "gen_ai.response.finish_reasons": ["stop"],
  });
  span.setStatus({ code: SpanStatusCode.OK });
}

function fail(span) {
  const error = new Error("no station responds");
  span.recordException(error);
  span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
}

function giveUp(span) {
  span.setAttribute("error.type", "TimeoutError");
  span.setStatus({ code: SpanStatusCode.ERROR, message: "nobody came" });
}

within("invoke_agent planner", "invoke_agent", (agent) => {
  agent.setAttribute("gen_ai.agent.name", "planner");
  within("chat gpt-4o", "chat", chat, SpanKind.CLIENT);
  within("execute_tool weather", "execute_tool", fail);
  within("execute_tool wait", "execute_tool", giveUp);
});
await provider.shutdown().catch((error) => console.error(error));
