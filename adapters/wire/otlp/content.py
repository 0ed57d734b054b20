"""Which attributes hold what people and models said, by the names that instrumentations give them."""

import re
from typing import Final

from adapters.wire.otlp.spans import Attributes, Event, Span

CONTENT_NAMES: Final = frozenset(
    {
        # OpenTelemetry semantic conventions, with earlier names
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "gen_ai.prompt",
        "gen_ai.completion",
        "gen_ai.retrieval.documents",
        "gen_ai.retrieval.query.text",
        # OpenInference
        "input.value",
        "output.value",
        "llm.prompts",
        "llm.function_call",
        "llm.invocation_parameters",  # of OpenAI's Responses, they have the instructions
        "llm.prompt_template.template",
        "llm.prompt_template.variables",
        "embedding.text",
        "embedding.vector",
        "retriever.query",
        "reranker.query",
        # OpenLLMetry
        "traceloop.entity.input",
        "traceloop.entity.output",
        "traceloop.prompt.template",
        "traceloop.prompt.template_variables",
        "llm.completions",
        "gen_ai.task.input",
        "gen_ai.task.output",
        "mcp.request.argument",
        "mcp.response.value",
        # Pydantic AI and Logfire
        "all_messages_events",
        "pydantic_ai.all_messages",
        "pydantic_ai.decision.answers",
        "pydantic_ai.decision.questions",
        "pydantic_ai.decision.state",
        "pydantic_ai.tool.deferral.metadata",
        "model_request_parameters",  # they have the instructions
        "final_result",
        "tool_arguments",
        "tool_response",
        "events",
        "request_data",
        "response_data",
        # Vercel AI SDK
        "ai.prompt",
        "ai.prompt.messages",
        "ai.response.text",
        "ai.response.object",
        "ai.response.toolCalls",
        "ai.response.reasoning",
        "ai.toolCall.args",
        "ai.toolCall.result",
        "ai.value",
        "ai.values",
        "ai.embedding",
        "ai.embeddings",
    }
)
"""Attributes with exactly these names."""

CONTENT_PREFIXES: Final = (
    "llm.input_messages.",
    "llm.output_messages.",
    "llm.prompts.",
    "llm.choices.",
    "llm.completions.",
    "embedding.embeddings.",
    "input.documents.",
    "input.images.",
    "output.documents.",
    "output.images.",
    "retrieval.documents.",
    "reranker.input_documents.",
    "reranker.output_documents.",
)
"""Attributes whose names begin so."""

CONTENT_INDEXED: Final = ("gen_ai.prompt.", "gen_ai.completion.")
"""Attributes whose names begin so, followed by a digit: ``gen_ai.prompt.name``, for one, is no content."""

CONTENT_EVENTS: Final = re.compile(r"gen_ai\.(\w+\.message|choice|content\.\w+)")
"""Events that are messages: of their attributes only those in ``MESSAGE_NAMES`` are kept."""

MESSAGE_NAMES: Final = frozenset({"role", "id", "index", "finish_reason", "gen_ai.system", "gen_ai.provider.name"})

_INDEXED: Final = re.compile(f"({'|'.join(map(re.escape, CONTENT_INDEXED))})[0-9]")
_BEGINNINGS: Final = (*CONTENT_PREFIXES, *CONTENT_INDEXED)


def is_content(name: str) -> bool:
    """Return whether an attribute of this name holds message content."""
    if name in CONTENT_NAMES:
        return True
    return name.startswith(_BEGINNINGS) and (name.startswith(CONTENT_PREFIXES) or _INDEXED.match(name) is not None)


def drop_content(span: Span) -> None:
    """Remove message content from the attributes of a span and its events."""
    span.attributes = _without_content(span.attributes)
    for event in span.events:
        _drop_from_event(event)


def _drop_from_event(event: Event) -> None:
    if event.name.startswith("gen_ai.") and CONTENT_EVENTS.fullmatch(event.name):
        event.attributes = {name: value for name, value in event.attributes.items() if name in MESSAGE_NAMES}
    else:
        event.attributes = _without_content(event.attributes)


def _without_content(attributes: Attributes) -> Attributes:
    kept = {name: value for name, value in attributes.items() if not is_content(name)}
    return kept if len(kept) < len(attributes) else attributes
