"""Python values as runs, changes, commits and filters, with every error named.

They come from ``json.loads``, or from a caller in the same process and then may be anything: runs as read from a store,
mappings and classes of the caller's own, which may even raise.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, cast

import attrs
import cattrs
from cattrs.errors import AttributeValidationNote, ForbiddenExtraKeysError

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

# What a client made up is repeated in answers only so far that they stay in proportion to what was sent.
_MAX_NAMES_SHOWN = 20
_MAX_NAME_SHOWN = 60
_MAX_ID_SHOWN = 255


def parse_json_text(value: object) -> JsonText:
    """A JSON object in its kept form; raises ``InvalidValueError``."""
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
"""Which rule makes a value of which type; each takes any value and raises ``InvalidValueError``."""


class Structurer:
    """Makes the core's values of others. Safe to use from several threads."""

    def __init__(self) -> None:
        self._converter = cattrs.Converter(forbid_extra_keys=True)
        for kind, rule in RULES.items():
            self._converter.register_structure_hook(kind, _hook(rule))

    def run(self, value: object, index: int, received_at: Timestamp) -> Candidate:
        """A run, or what is wrong with it. ``null`` means absent; unknown fields go into ``extra``."""
        try:
            sent = _members(value)
        except InvalidValueError as error:
            return RefusedRun(index, None, None, (ValidationError(None, str(error)),))
        given = {name: item for name, item in sent.items() if name not in SERVER_FIELDS and not _absent(name, item)}
        try:
            given = _with_extra(given)
            return self._structure(given | dict.fromkeys(SERVER_FIELDS, received_at), Run, InvalidFieldsError)
        except InvalidFieldsError as error:
            return RefusedRun(index, _shown_id(sent, "event_id"), _shown_id(sent, "run_id"), error.errors)

    def changes(self, value: object) -> RunChanges:
        """What to change about a run; raises ``InvalidChangesError``."""
        return self._structure(_require_members(value, InvalidChangesError), RunChanges, InvalidChangesError)

    def commit(self, value: object) -> Commit:
        """A commit to associate; raises ``InvalidCommitError``."""
        return self._structure(_require_members(value, InvalidCommitError), Commit, InvalidCommitError)

    def run_filter(self, value: RunFilter | Mapping[str, str]) -> RunFilter:
        """Which runs to list; raises ``InvalidQueryError``."""
        given = _given(value, RunFilter) if isinstance(value, RunFilter) else value
        return self._structure(_require_members(given, InvalidQueryError), RunFilter, InvalidQueryError)

    def _structure(self, given: dict[str, Any], kind: type[_T], refusal: type[InvalidFieldsError]) -> _T:
        try:
            return self._converter.structure(given, kind)
        except cattrs.ClassValidationError as error:
            raise refusal(tuple(_faults(error))) from None


def _hook(rule: Callable[[object], Any]) -> Callable[[object, Any], Any]:
    return lambda value, _kind: rule(rules.plain(value))


def _require_members(value: object, refusal: type[InvalidFieldsError]) -> dict[str, Any]:
    try:
        return _members(value)
    except InvalidValueError as error:
        raise refusal((ValidationError(None, str(error)),)) from None


def _members(value: object) -> dict[str, Any]:
    """The members of an object, of another mapping or of a run, by name; raises ``InvalidValueError``."""
    try:
        held = _as_object(value)
    except Exception as error:
        raise InvalidValueError(f"cannot be read: {rules.describe(value)} raised {rules.describe(error)}") from error
    return rules.members(held)


def _as_object(value: object) -> object:
    """The same as a ``dict``, as far as it can be one. It may raise whatever a class of the caller's raises."""
    # What counts is the class that the value has, and not the one that it says it has.
    kind = type(value)
    if issubclass(kind, dict):
        return value
    if issubclass(kind, Run):
        return {name: _unfolded(item) for name, item in _given(value, Run).items()}
    return dict(cast(Mapping[Any, Any], value)) if issubclass(kind, Mapping) else value


def _given(value: object, kind: type["attrs.AttrsInstance"]) -> dict[str, Any]:
    """What is not ``None`` of the fields of that class."""
    fields = ((field.name, getattr(value, field.name)) for field in attrs.fields(kind))
    return {name: item for name, item in fields if item is not None}


def _unfolded(value: object) -> object:
    """The object that the text of a JSON field stands for; what is no such text is left for its rule to refuse."""
    if not isinstance(value, JsonText):
        return value
    try:
        return decode_json(value.encode())
    except (NotJsonError, UnicodeEncodeError):
        return value


def _absent(name: str, value: object) -> bool:
    """``null`` in a field of the contract is no value; in an unknown field it is one, to be kept."""
    return value is None and name in FIELDS


def _with_extra(given: dict[str, Any]) -> dict[str, Any]:
    """Gather the fields that the contract does not name in ``extra``, beside what was sent in it."""
    unknown = {name: given.pop(name) for name in given.keys() - set(FIELDS)}
    if not unknown:
        return given
    try:
        extra = rules.members(given.get("extra", {}))
    except InvalidValueError:
        return given  # the rule of extra says what is wrong with it
    if both := sorted(unknown.keys() & extra.keys()):
        reason = f"and the run itself both hold {rules.describe(both[0])}; send it once"
        raise InvalidFieldsError((ValidationError("extra", reason),))
    return given | {"extra": {**extra, **unknown}}


def _faults(error: cattrs.ClassValidationError) -> Iterator[ValidationError]:
    for part in error.exceptions:
        match part:
            case ForbiddenExtraKeysError(extra_fields=names, cl=kind):
                yield from _unknown_fields(sorted(names), kind)
            case KeyError():
                yield ValidationError(_field(part), "is required", ErrorKind.MISSING)
            case InvalidValueError():
                yield ValidationError(_field(part), str(part))
            case _:
                raise part


def _unknown_fields(names: list[str], kind: type) -> Iterator[ValidationError]:
    reason = f"cannot be given here; what can is {', '.join(kind.__annotations__)}"
    for name in names[:_MAX_NAMES_SHOWN]:
        yield ValidationError(_printable(name), reason)
    if len(names) > _MAX_NAMES_SHOWN:
        yield ValidationError(None, f"has {len(names) - _MAX_NAMES_SHOWN} more fields that cannot be given here")


def _field(error: Exception) -> str:
    """The field that cattrs was structuring when the error arose."""
    return next(note.name for note in error.__notes__ if isinstance(note, AttributeValidationNote))


def _printable(name: str) -> str:
    """A field name that somebody made up, fit for an answer."""
    shown = name if len(name) <= _MAX_NAME_SHOWN else f"{name[:_MAX_NAME_SHOWN]}…"
    return shown.encode("utf-8", "backslashreplace").decode()


def _shown_id(value: dict[str, Any], name: str) -> str | None:
    """An id as far as it can be repeated in an answer, with every error of its run."""
    try:
        text = rules.parse_text(rules.plain(value.get(name)))
    except InvalidValueError:
        return None
    return text if len(text) <= _MAX_ID_SHOWN else None
