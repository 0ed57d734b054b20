"""A launch of made-up spans by the Python SDK; the environment sets everything else."""

from collections.abc import Callable

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("made-up", "1.0")


def within(name: str, operation: str, during: Callable[[Span], None], kind: SpanKind = SpanKind.INTERNAL) -> None:
    """Run ``during`` in a new span of this operation, and end the span."""
    attributes = {"gen_ai.operation.name": operation}
    with tracer.start_as_current_span(name, kind=kind, attributes=attributes) as span:
        during(span)


def plan(span: Span) -> None:
    """Do all that the launch does."""
    span.set_attribute("gen_ai.agent.name", "planner")
    within("chat gpt-4o", "chat", chat, SpanKind.CLIENT)
    within("execute_tool weather", "execute_tool", fail)
    within("execute_tool wait", "execute_tool", give_up)


def chat(span: Span) -> None:
    """Say what a model used."""
    span.set_attributes(
        {
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.input_tokens": 1200,
            "gen_ai.usage.output_tokens": 34,
            "gen_ai.usage.cost": 0.0125,
            "gen_ai.response.finish_reasons": ["stop"],
        }
    )
    span.set_status(StatusCode.OK)


def fail(span: Span) -> None:
    """Report an exception."""
    try:
        raise ConnectionError("no station responds")  # noqa: TRY301 - the span keeps where it was raised
    except ConnectionError as error:
        span.record_exception(error)
        span.set_status(StatusCode.ERROR, str(error))


def give_up(span: Span) -> None:
    """Report a timeout."""
    span.set_attribute("error.type", "TimeoutError")
    span.set_status(StatusCode.ERROR, "nobody came")


within("invoke_agent planner", "invoke_agent", plan)
provider.shutdown()
