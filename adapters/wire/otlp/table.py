"""Which field of a run comes from where in a span: the table that the mapping, the documentation and the tests read."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import attrs

from adapters.wire.otlp.spans import Attributes, Event, Span
from core.model.run import FIELDS, SERVER_FIELDS, Status, Timestamp

OVERRIDE_PREFIX: Final = "runsink."

OVERRIDES: Final = {
    OVERRIDE_PREFIX + name: name for name in FIELDS if name not in SERVER_FIELDS and name != "parent_run_id"
}
"""Attributes that take precedence, with their fields. Not that of the parent: set on a resource, it would cut every
span off from its parent.
"""

STATUS_ERROR: Final = 2

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_TIMEOUT: Final = re.compile(r".*timeout(error|exception)?", re.IGNORECASE | re.DOTALL)

Read = Callable[[Span, Attributes], Any]
"""Reads a value of a span and the attributes of its resource; ``None`` or an empty text if there is none."""


@attrs.frozen
class Source:
    """Where a value comes from, as the documentation says it, and how it is read.

    ``attribute`` is the name of the attribute of the span, else of the resource, that alone decides. A ``stored`` value
    has the stored form of its field already.
    """

    text: str
    read: Read
    attribute: str | None = None
    stored: bool = False


def instant(nanoseconds: int) -> Timestamp:
    """Return the timestamp of 64-bit nanoseconds since 1970, truncated to microseconds."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return Timestamp(f"{_whole_second(seconds)}.{rest // 1000:06d}Z")


@lru_cache(maxsize=64)  # Every span has two times, and those of a request are close together.
def _whole_second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()


def span_identity(trace_id: str, span_id: str) -> str:
    """Return the ``event_id`` and ``run_id`` of a span."""
    return f"{trace_id}-{span_id}"


def _attribute(name: str) -> Source:
    def read(span: Span, resource: Attributes) -> object:
        value = span.attributes.get(name) or resource.get(name)
        return value if isinstance(value, str) else None

    return Source(f"`{name}`", read, attribute=name)


def _constant(text: str) -> Source:
    return Source(f"the text `{text}`", lambda _span, _resource: text)


def _computed(text: str, read: Read) -> tuple[Source]:
    return (Source(text, read, stored=True),)


def _exception(name: str) -> Source:
    def read(span: Span, _resource: Attributes) -> object:
        found = _last_exception(span.events) if span.events else None
        value = None if found is None else found.attributes.get(name)
        return value if isinstance(value, str) else None

    return Source(f"`{name}` of the last event `exception`", read)


def _last_exception(events: Sequence[Event]) -> Event | None:
    return next((event for event in reversed(events) if event.name == "exception"), None)


def _identity(span: Span, _resource: Attributes) -> str:
    return span_identity(span.trace_id, span.span_id)


def _parent(span: Span, _resource: Attributes) -> str | None:
    return span_identity(span.trace_id, span.parent_span_id) if span.parent_span_id else None


def _end(span: Span, _resource: Attributes) -> str | None:
    return instant(span.end_time_unix_nano) if span.end_time_unix_nano else None


def _duration(span: Span, _resource: Attributes) -> int | None:
    if not span.end_time_unix_nano:
        return None
    return (span.end_time_unix_nano - span.start_time_unix_nano) // 1_000_000


def _status(span: Span, _resource: Attributes) -> str:
    if not span.end_time_unix_nano:
        return Status.RUNNING
    if span.status_code != STATUS_ERROR:
        return Status.SUCCESS
    kind = span.attributes.get("error.type")
    return Status.TIMEOUT if isinstance(kind, str) and _TIMEOUT.fullmatch(kind) else Status.FAILURE


TABLE: Final[dict[str, tuple[Source, ...]]] = {
    "event_id": _computed("`{trace_id}-{span_id}` in lower-case hex", _identity),
    "run_id": _computed("`{trace_id}-{span_id}` in lower-case hex", _identity),
    "parent_run_id": (
        Source("the same of the parent span", _parent),
        _attribute("runsink.parent_run_id"),
    ),
    "start_time": _computed("the start", lambda span, _resource: instant(span.start_time_unix_nano)),
    "end_time": _computed("the end", _end),
    "duration_ms": _computed("from the start to the end", _duration),
    "status": _computed(
        "`running` without an end; with the status `ERROR`, `timeout` if `error.type` names a timeout, else `failure`; "
        "otherwise `success`",
        _status,
    ),
    "error_summary": (
        Source("the message of the status", lambda span, _resource: span.status_message),
        _exception("exception.message"),
    ),
    "error_details": (_exception("exception.stacktrace"),),
    "agent_name": (_attribute("gen_ai.agent.name"), _attribute("service.name"), _constant("unknown")),
    "job_type": (
        _attribute("gen_ai.operation.name"),
        _attribute("openinference.span.kind"),
        _attribute("traceloop.span.kind"),
        _constant("span"),
    ),
    "item_name": (Source("the name of the span", lambda span, _resource: span.name),),
    "product": (_attribute("service.name"),),
    "product_family": (_attribute("service.namespace"),),
    "platform": (_attribute("gen_ai.provider.name"), _attribute("gen_ai.system")),
    "git_repo": (_attribute("vcs.repository.url.full"),),
    "git_branch": (_attribute("vcs.ref.head.name"),),
    "commit_hash": (_attribute("vcs.ref.head.revision"),),
}
"""The sources of each field but the JSON objects, in order: the first that has a value which the field may have."""

METRICS: Final[dict[str, tuple[str, ...]]] = {
    "input_tokens": (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
        "llm.usage.prompt_tokens",
    ),
    "output_tokens": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
        "llm.usage.completion_tokens",
    ),
    "cache_read_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read",
        "llm.usage.cache_read_input_tokens",
    ),
    "cache_write_tokens": (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.cache_write_input_tokens",
        "llm.token_count.prompt_details.cache_write",
        "llm.usage.cache_creation_input_tokens",
    ),
    "reasoning_tokens": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
        "llm.usage.reasoning_tokens",
    ),
    "cost_usd": (
        "gen_ai.usage.cost_usd",
        "gen_ai.usage.cost",
        "operation.cost",
        "llm.cost.total",
        "llm.usage.cost",
        "llm.usage.total_cost",
    ),
}
"""The attributes of the span that each metric is taken from, in order: the first that is a number."""

CONTEXT: Final[dict[str, str]] = {
    "trace_id": "in lower-case hex",
    "span_id": "in lower-case hex",
    "name": "of the span",
    "kind": "`unspecified`, `internal`, `server`, `client`, `producer` or `consumer`",
    "scope": "`name`, `version` and `attributes` of the instrumentation scope",
    "resource": "the attributes of the resource",
    "attributes": "of the span, without message content unless `otlp-content` is on",
    "events": "`name`, `time` and `attributes` of each, with the same exception",
    "links": "`trace_id`, `span_id` and `attributes` of each",
}
"""What ``context_json`` holds."""

_NUMBERS: Final = (int, float)

KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
"""The kinds of spans, by their numbers."""


def metrics_among(attributes: Attributes) -> dict[str, list[str]]:
    """Return the part of ``METRICS`` that attributes of these names may report, whatever their values."""
    found = {metric: [name for name in names if name in attributes] for metric, names in METRICS.items()}
    return {metric: names for metric, names in found.items() if names}


def read_metrics(attributes: Attributes, among: Mapping[str, Sequence[str]] = METRICS) -> dict[str, Any] | None:
    """Return the metrics that a span reports, or ``None`` if there are none; ``among`` is from ``metrics_among``."""
    found = {}
    for metric, names in among.items():
        for name in names:
            value = attributes.get(name)
            # A truth value is no number here, though ``bool`` is a kind of ``int``.
            if type(value) in _NUMBERS:
                found[metric] = value
                break
    return found or None


def context_of(span: Span, resource: object, scope: object) -> dict[str, Any]:
    """Return ``context_json``; ``resource`` and ``scope`` may be encoded already."""
    kind: object = KINDS[span.kind] if 0 <= span.kind < len(KINDS) else span.kind
    return {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "name": span.name,
        "kind": kind,
        "scope": scope,
        "resource": resource,
        "attributes": span.attributes,
        "events": [_event(event) for event in span.events] if span.events else [],
        "links": [_link(link) for link in span.links] if span.links else [],
    }


def _event(event: Event) -> dict[str, Any]:
    time = instant(event.time_unix_nano) if event.time_unix_nano else None
    return {"name": event.name, "time": time, "attributes": event.attributes}


def _link(link: Any) -> dict[str, Any]:
    return {"trace_id": link.trace_id, "span_id": link.span_id, "attributes": link.attributes}
