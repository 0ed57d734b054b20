"""Spans as candidates of runs, by the table.

A span is mapped in one pass, and each value goes through the rule of its field. Only where a rule rejects one, the span
is mapped again with care: what is too long is left out, the sources of each field are tried one after another, and what
is still wrong is reported by ``Structurer``, as for any other run.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import attrs
import msgspec

from adapters.wire.canonical import canonical_json, canonical_object
from adapters.wire.json_text import NotJsonError, decode_json
from adapters.wire.otlp.content import drop_content
from adapters.wire.otlp.shortening import shorten_span
from adapters.wire.otlp.spans import NO_ID, Attributes, Origin, Span
from adapters.wire.otlp.table import (
    OVERRIDES,
    TABLE,
    Read,
    Source,
    context_of,
    instant,
    metrics_among,
    read_metrics,
    span_identity,
)
from adapters.wire.structure import RULES, Structurer, kind_of
from core.model.batch import Candidate, RefusedRun, Sent
from core.model.run import FIELDS, SERVER_FIELDS, JsonText, Run, Timestamp
from core.model.validation_error import ValidationError
from core.validation.fields import InvalidValueError, describe

PENDING: Final = ("logfire.span_type", "pending_span")
"""The attribute of spans that only announce another one, which follows."""

_MOST_PLANS, _MOST_NAMES = 64, 100
"""How many plans an origin remembers, and for how many names at most: a client may send any."""

_MOST_HARMLESS, _LONGEST_HARMLESS = 1000, 100
"""How many names are remembered at least, and how long they may be: a client may send any."""

_IDENTITY: Final = re.compile(r"(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}")
_TRACE_ID: Final = re.compile(r"(?!0{32})[0-9a-f]{32}")
_SPAN_ID: Final = re.compile(r"(?!0{16})[0-9a-f]{16}")
_NO_PARENTS: Final = frozenset({NO_ID, "0" * 16})

_POSITIONS: Final = {name: position for position, name in enumerate(FIELDS)}
_DEFAULTS: Final = [None if field.default is attrs.NOTHING else field.default for field in attrs.fields(Run)]
_SERVER_POSITIONS: Final = [_POSITIONS[name] for name in SERVER_FIELDS]
_RULE_OF: Final[dict[str, Callable[[object], Any]]] = {field.name: RULES[kind_of(field)] for field in attrs.fields(Run)}
_OF_ATTRIBUTES: Final = {name: sources for name, sources in TABLE.items() if sources[0].attribute}
"""The fields that depend on attributes alone. So what they are for most spans is known from the resource."""

_Row = tuple[int, Callable[[object], Any], list[Read]]
"""The position of a field, its rule, and what reads its sources, in order."""


def _row(name: str) -> _Row:
    return _POSITIONS[name], _RULE_OF[name], [source.read for source in TABLE[name]]


_ROWS_OF_ATTRIBUTES: Final = [
    ({source.attribute for source in sources if source.attribute}, _row(name))
    for name, sources in _OF_ATTRIBUTES.items()
]
_STORED: Final = [(_POSITIONS[name], sources[0].read) for name, sources in TABLE.items() if sources[0].stored]
_OTHERS: Final = [_row(name) for name, sources in TABLE.items() if name not in _OF_ATTRIBUTES and not sources[0].stored]
_METRICS, _CONTEXT = _POSITIONS["metrics_json"], _POSITIONS["context_json"]
_JSON_FIELDS: Final = frozenset(field.name for field in attrs.fields(Run) if kind_of(field) is JsonText)


_EMPTY: Final = Span(NO_ID, NO_ID, NO_ID, "", 0, 0, 0, {}, [], [], 0, "")


@attrs.frozen
class _Plan:
    """What the names of a span's attributes decide: the rows of the table to read, and what else there is."""

    rows: list[_Row]
    metrics: dict[str, list[str]]
    overriding: bool

    @classmethod
    def of(cls, attributes: Attributes) -> "_Plan":
        """Return the plan for all spans whose attributes have the same names."""
        names = attributes.keys()
        rows = [row for deciding, row in _ROWS_OF_ATTRIBUTES if not names.isdisjoint(deciding)]
        return cls([*_OTHERS, *rows], metrics_among(attributes), not names.isdisjoint(OVERRIDES.keys()))


@attrs.frozen
class EncodedOrigin:
    """An origin, and what every run of its spans repeats: the JSON of its parts, and the values of its fields."""

    origin: Origin
    values: list[Any]
    resource: msgspec.Raw
    scope: msgspec.Raw
    overrides: dict[str, object]
    _plans: dict[tuple[str, ...], _Plan] = attrs.Factory(dict)

    @classmethod
    def of(cls, origin: Origin) -> "EncodedOrigin":
        """Encode the parts of an origin."""
        resource, scope = (msgspec.Raw(canonical_object(part).encode()) for part in (origin.resource, origin.scope))
        values = _DEFAULTS.copy()
        for name, sources in _OF_ATTRIBUTES.items():
            values[_POSITIONS[name]] = _first_fit(name, sources, _EMPTY, origin.resource)
        return cls(origin, values, resource, scope, _overrides(origin.resource))

    def plan(self, attributes: Attributes) -> _Plan:
        """Return the plan for a span with these attributes, which is the same for most spans of an origin."""
        names = tuple(attributes)
        plan = self._plans.get(names)
        if plan is None:
            plan = _Plan.of(attributes)
            if len(self._plans) < _MOST_PLANS and len(names) <= _MOST_NAMES:
                self._plans[names] = plan
        return plan


@attrs.frozen
class SpanMapper:
    """Makes candidates of spans. Thread-safe."""

    structurer: Structurer
    keeps_content: bool = False
    keeps_sent: bool = False
    _harmless: set[str] = attrs.Factory(set)
    """Names of attributes that were looked at and hold no content; most spans have no others."""

    def candidate(self, span: Span, origin: EncodedOrigin, index: int, now: Timestamp) -> tuple[Candidate, list[str]]:
        """Return a run, or what is wrong with the span, and the names of attributes that were left out."""
        if not self.keeps_content:
            self._drop_content(span)
        errors = _span_errors(span)
        left_out: list[str] = []
        if errors:
            refused = RefusedRun(index, _identity_or_none(span), _identity_or_none(span), errors)
            return self._with_sent(refused, span), left_out
        try:
            return _run(span, origin, now), left_out
        except (InvalidValueError, msgspec.MsgspecError, RecursionError):
            left_out = shorten_span(span, origin.origin)
            candidate = self.structurer.run(_given(span, origin), index, now)
            return self._with_sent(candidate, span), left_out

    def _drop_content(self, span: Span) -> None:
        if span.events or not span.attributes.keys() <= self._harmless:
            drop_content(span)
            if len(self._harmless) < _MOST_HARMLESS:
                self._harmless.update(name for name in span.attributes if len(name) <= _LONGEST_HARMLESS)

    def _with_sent(self, candidate: Candidate, span: Span) -> Candidate:
        if self.keeps_sent and isinstance(candidate, RefusedRun):
            return attrs.evolve(candidate, sent=Sent.of(msgspec.json.encode(span)))
        return candidate


def is_pending(span: Span) -> bool:
    """Return whether a span only announces another one."""
    return span.attributes.get(PENDING[0]) == PENDING[1]


def _run(span: Span, origin: EncodedOrigin, now: Timestamp) -> Run:
    """Return the run, if the first source of every field has a value that the field may have."""
    values = origin.values.copy()
    resource = origin.origin.resource
    for position, read_stored in _STORED:
        values[position] = read_stored(span, resource)
    plan = origin.plan(span.attributes)
    for position, rule, reads in plan.rows:
        for read in reads:
            if value := read(span, resource):
                values[position] = rule(value)
                break
        else:
            values[position] = None
    metrics = read_metrics(span.attributes, plan.metrics)
    if metrics is not None:
        values[_METRICS] = canonical_json(metrics)
    values[_CONTEXT] = canonical_object(context_of(span, origin.resource, origin.scope))
    if origin.overrides or plan.overriding:
        for name, value in (origin.overrides | _overrides(span.attributes)).items():
            values[_POSITIONS[name]] = _RULE_OF[name](value)
    for position in _SERVER_POSITIONS:
        values[position] = now
    return Run(*values)


def _given(span: Span, origin: EncodedOrigin) -> dict[str, object]:
    """Return the fields of the run in plain values, each from its first source with a value that it may have."""
    resource = origin.origin.resource
    given = {name: _first_fit(name, sources, span, resource) for name, sources in TABLE.items()}
    given["metrics_json"] = read_metrics(span.attributes)
    given["context_json"] = context_of(span, resource, origin.origin.scope)
    return given | origin.overrides | _overrides(span.attributes)


def _first_fit(name: str, sources: tuple[Source, ...], span: Span, resource: Attributes) -> object:
    for source in sources:
        value = source.read(span, resource)
        if value is not None and value != "":
            try:
                return _RULE_OF[name](value)
            except InvalidValueError:
                continue
    return None


def _overrides(attributes: Attributes) -> dict[str, object]:
    """Return the fields that the attributes set themselves."""
    if OVERRIDES.keys().isdisjoint(attributes):
        return {}
    return {name: _override(name, attributes[key]) for key, name in OVERRIDES.items() if key in attributes}


def _override(name: str, value: object) -> object:
    """Return the value of a field; most SDKs have no attributes that are objects, so their JSON is accepted."""
    if name not in _JSON_FIELDS or not isinstance(value, str):
        return value
    try:
        return decode_json(value.encode())
    except NotJsonError:
        return value


def _span_errors(span: Span) -> tuple[ValidationError, ...]:
    """Return what is wrong with a span in itself, whatever run it would be; clear the id of a parent that is none."""
    if span.parent_span_id in _NO_PARENTS:
        span.parent_span_id = NO_ID
    if (
        _IDENTITY.fullmatch(span_identity(span.trace_id, span.span_id))
        and (not span.parent_span_id or _SPAN_ID.fullmatch(span.parent_span_id))
        and span.start_time_unix_nano
        and (not span.end_time_unix_nano or span.end_time_unix_nano >= span.start_time_unix_nano)
    ):
        return ()
    return tuple(ValidationError(field, reason) for field, reason in _wrong(span))


def _wrong(span: Span) -> list[tuple[str, str]]:
    wrong = []
    if not _TRACE_ID.fullmatch(span.trace_id):
        wrong.append(("trace_id", f"must be 16 bytes that are not all zero, not {_shown_id(span.trace_id)}"))
    for field, span_id in (("span_id", span.span_id), ("parent_span_id", span.parent_span_id)):
        if not _SPAN_ID.fullmatch(span_id) and (span_id or field == "span_id"):
            wrong.append((field, f"must be 8 bytes that are not all zero, not {_shown_id(span_id)}"))
    start, end = span.start_time_unix_nano, span.end_time_unix_nano
    if not start:
        wrong.append(("start_time", "must be in nanoseconds since 1970, not 0"))
    elif end and end < start:
        wrong.append(("end_time", f"must not be before the start: {instant(end)} is before {instant(start)}"))
    return wrong


def _shown_id(text: str) -> str:
    return describe(text) if text else "empty"


def _identity_or_none(span: Span) -> str | None:
    identity = span_identity(span.trace_id, span.span_id)
    return identity if _IDENTITY.fullmatch(identity) else None
