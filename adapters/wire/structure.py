"""Converting Python values to runs, changes, commits and filters, with every error reported.

They come from ``json.loads``, or from a caller in the same process. Then they may be anything: runs read from a store,
other mappings, or objects of the caller's own classes, which may even raise.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast, get_args

import attrs
import cattrs
from cattrs.errors import AttributeValidationNote, ForbiddenExtraKeysError

from adapters.tracebacks import release_locals
from adapters.wire.canonical import canonical_json
from adapters.wire.json_text import NotJsonError, decode_json
from core.errors import InvalidChangesError, InvalidCommitError, InvalidFieldsError, InvalidQueryError
from core.model.batch import Candidate, RefusedRun
from core.model.listing import RunFilter
from core.model.run import (
    FIELDS,
    SERVER_FIELDS,
    Commit,
    CommitHash,
    CommitSource,
    Count,
    EventId,
    JsonText,
    Name,
    Run,
    RunChanges,
    Status,
    Text,
    Timestamp,
)
from core.model.validation_error import ErrorKind, ValidationError
from core.validation import fields as rules
from core.validation.fields import InvalidValueError

_T = TypeVar("_T")

# Limits on what responses repeat from requests, to keep their sizes in proportion.
_MAX_NAMES_SHOWN = 20
_MAX_NAME_SHOWN = 60
_MAX_ID_SHOWN = 255


def parse_json_text(value: object) -> JsonText:
    """Return a JSON object in its stored form; raise ``InvalidValueError``."""
    return canonical_json(rules.parse_json_object(value))


RULES: Mapping[Any, Callable[[object], Any]] = {
    EventId: rules.parse_event_id,
    Name: rules.parse_name,
    Text: rules.parse_text,
    Count: rules.parse_count,
    Timestamp: rules.parse_timestamp,
    Status: rules.parse_status,
    CommitHash: rules.parse_commit_hash,
    CommitSource: rules.parse_commit_source,
    JsonText: parse_json_text,
}
"""The rule for each type; each takes any value and raises ``InvalidValueError``."""


def kind_of(field: "attrs.Attribute[Any]") -> Any:
    """Return the type of a field without its ``| None``: the key of its rule."""
    return next((part for part in get_args(field.type) if part is not type(None)), field.type)


class Structurer:
    """Converts values to the core's. Thread-safe."""

    def __init__(self) -> None:
        self._converter = cattrs.Converter(forbid_extra_keys=True)
        for kind, rule in RULES.items():
            self._converter.register_structure_hook(kind, _hook(rule))
        # Parts of filters only; the rule takes collections as they are.
        self._converter.register_structure_hook(bool, _hook(rules.parse_flag))
        self._converter.register_structure_hook_func(
            lambda kind: kind == frozenset[Status], lambda value, _kind: rules.parse_statuses(value)
        )

    def run(self, value: object, index: int, received_at: Timestamp) -> Candidate:
        """Return a run, or what is wrong with it. ``null`` means absent; unknown fields go into ``extra``."""
        try:
            sent = _members(value)
        except InvalidValueError as error:
            return RefusedRun(index, None, None, (ValidationError(None, str(error)),))
        given = {name: item for name, item in sent.items() if name not in SERVER_FIELDS and not _absent(name, item)}
        outer = sys.exception()
        try:
            given = _with_extra(given)
            return self._structure(given | dict.fromkeys(SERVER_FIELDS, received_at), Run, InvalidFieldsError)
        except InvalidFieldsError as error:
            release_locals(error, outer)
            return RefusedRun(index, _shown_id(sent, "event_id"), _shown_id(sent, "run_id"), error.errors)

    def changes(self, value: object) -> RunChanges:
        """Return the changes to a run; raise ``InvalidChangesError``."""
        return self._structure(_require_members(value, InvalidChangesError), RunChanges, InvalidChangesError)

    def commit(self, value: object) -> Commit:
        """Return a commit to associate; raise ``InvalidCommitError``."""
        return self._structure(_require_members(value, InvalidCommitError), Commit, InvalidCommitError)

    def run_filter(self, value: RunFilter | Mapping[str, str], beside: Sequence[str] = ()) -> RunFilter:
        """Return which runs to list; raise ``InvalidQueryError``.

        ``beside`` names the other parameters that are allowed there, for the error of one that is not.
        """
        given = _given(value, RunFilter) if isinstance(value, RunFilter) else value
        allowed = f"parameters: {', '.join((*_names(RunFilter), *beside))}"
        return self._structure(_require_members(given, InvalidQueryError), RunFilter, InvalidQueryError, allowed)

    def _structure(
        self, given: dict[str, Any], kind: type[_T], refusal: type[InvalidFieldsError], allowed: str | None = None
    ) -> _T:
        """Return an instance of the class; an error of unknown names says what is allowed, by default its fields."""
        try:
            return self._converter.structure(given, kind)
        except cattrs.ClassValidationError as error:
            raise refusal(tuple(_validation_errors(error, allowed or f"fields: {', '.join(_names(kind))}"))) from None


def _hook(rule: Callable[[object], Any]) -> Callable[[object, Any], Any]:
    return lambda value, _kind: rule(rules.plain(value))


def _require_members(value: object, refusal: type[InvalidFieldsError]) -> dict[str, Any]:
    try:
        return _members(value)
    except InvalidValueError as error:
        raise refusal((ValidationError(None, str(error)),)) from None


def _members(value: object) -> dict[str, Any]:
    """Return the members of an object, another mapping or a run, by name; raise ``InvalidValueError``."""
    try:
        held = _as_object(value)
    except Exception as error:
        raise InvalidValueError(f"cannot be read: {rules.describe(value)} raised {rules.describe(error)}") from error
    return rules.members(held)


def _as_object(value: object) -> object:
    """Return the value as a ``dict``, if it can be one. Raises whatever a caller's class raises."""
    # The actual class of the value counts, not the one it claims to have.
    kind = type(value)
    if issubclass(kind, dict):
        return value
    if issubclass(kind, Run):
        return {name: _unfolded(item) for name, item in _given(value, Run).items()}
    return dict(cast(Mapping[Any, Any], value)) if issubclass(kind, Mapping) else value


def _given(value: object, kind: type["attrs.AttrsInstance"]) -> dict[str, Any]:
    """Return the fields of that class that are not ``None``."""
    fields = ((field.name, getattr(value, field.name)) for field in attrs.fields(kind))
    return {name: item for name, item in fields if item is not None}


def _unfolded(value: object) -> object:
    """Return the object in the text of a JSON field; anything else is left for its rule to reject."""
    if not isinstance(value, JsonText):
        return value
    try:
        return decode_json(value.encode())
    except (NotJsonError, UnicodeEncodeError):
        return value


def _absent(name: str, value: object) -> bool:
    """Return whether a field counts as absent. ``null`` does in a field of the contract; in others it is a value."""
    return value is None and name in FIELDS


def _with_extra(given: dict[str, Any]) -> dict[str, Any]:
    """Move the fields that the contract does not name into ``extra``, next to what was sent in it."""
    unknown = {name: given.pop(name) for name in given.keys() - set(FIELDS)}
    if not unknown:
        return given
    try:
        extra = rules.members(given.get("extra", {}))
    except InvalidValueError:
        return given  # the rule for extra reports what is wrong with it
    if both := sorted(unknown.keys() & extra.keys()):
        reason = f"and the run itself both have {rules.describe(both[0])}; send it once"
        raise InvalidFieldsError((ValidationError("extra", reason),))
    return given | {"extra": {**extra, **unknown}}


def _validation_errors(error: cattrs.ClassValidationError, allowed: str) -> Iterator[ValidationError]:
    for part in error.exceptions:
        match part:
            case ForbiddenExtraKeysError(extra_fields=names):
                yield from _unknown_fields(sorted(names), allowed)
            case KeyError():
                yield ValidationError(_field(part), "is required", ErrorKind.MISSING)
            case InvalidValueError():
                yield ValidationError(_field(part), str(part))
            case _:
                raise part


def _unknown_fields(names: list[str], allowed: str) -> Iterator[ValidationError]:
    reason = f"is not allowed here; allowed {allowed}"
    for name in names[:_MAX_NAMES_SHOWN]:
        yield ValidationError(_printable(name), reason)
    if len(names) > _MAX_NAMES_SHOWN:
        yield ValidationError(None, f"has {len(names) - _MAX_NAMES_SHOWN} more fields that are not allowed here")


def _names(kind: type) -> Sequence[str]:
    return tuple(kind.__annotations__)


def _field(error: Exception) -> str:
    """Return the field that cattrs was structuring when the error occurred."""
    return next(note.name for note in error.__notes__ if isinstance(note, AttributeValidationNote))


def _printable(name: str) -> str:
    """Return an unknown field name in a form fit for a response."""
    shown = name if len(name) <= _MAX_NAME_SHOWN else f"{name[:_MAX_NAME_SHOWN]}…"
    return shown.encode("utf-8", "backslashreplace").decode()


def _shown_id(value: dict[str, Any], name: str) -> str | None:
    """Return an ID if it is fit to be repeated in a response, with every error of its run."""
    try:
        text = rules.parse_text(rules.plain(value.get(name)))
    except InvalidValueError:
        return None
    return text if len(text) <= _MAX_ID_SHOWN else None
