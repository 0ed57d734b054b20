"""Plain Python values as runs, changes and commits, with every fault named."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import cattrs
from cattrs.errors import AttributeValidationNote, ForbiddenExtraKeysError

from adapters.wire.canonical import canonical_json
from core import rules
from core.batch import Candidate, Fault, FaultKind, RefusedRun
from core.errors import InvalidChangesError, InvalidCommitError, InvalidFieldsError, InvalidQueryError
from core.listing import RunFilter
from core.rules import FieldError
from core.run import (
    FIELDS,
    SERVER_FIELDS,
    Commit,
    CommitHash,
    CommitSource,
    Count,
    EventId,
    JsonText,
    Run,
    RunChanges,
    Status,
    Text,
    Timestamp,
)

_T = TypeVar("_T")

# What a client made up is repeated in answers only so far that they stay in proportion to what was sent.
_MAX_NAMES_SHOWN = 20
_MAX_NAME_SHOWN = 60
_MAX_ID_SHOWN = 255


def parse_json_text(value: object) -> JsonText:
    """A JSON object in its kept form; raises ``FieldError``."""
    return canonical_json(rules.check_json_object(value))


RULES: Mapping[Any, Callable[[object], Any]] = {
    EventId: rules.parse_event_id,
    Text: rules.parse_text,
    Count: rules.parse_count,
    Timestamp: rules.parse_timestamp,
    Status: rules.parse_status,
    CommitHash: rules.parse_commit_hash,
    CommitSource: rules.parse_commit_source,
    JsonText: parse_json_text,
}
"""Which rule makes a value of which type; each takes any value and raises ``FieldError``."""


class Structurer:
    """Makes the core's values of plain ones, as ``json.loads`` returns them. Safe to use from several threads."""

    def __init__(self) -> None:
        self._converter = cattrs.Converter(forbid_extra_keys=True)
        for kind, rule in RULES.items():
            self._converter.register_structure_hook(kind, _hook(rule))

    def run(self, value: object, index: int, received_at: Timestamp) -> Candidate:
        """A run, or what is wrong with it. ``null`` means absent; unknown fields go into ``extra``."""
        if not isinstance(value, dict):
            fault = Fault(None, f"must be a JSON object, not {rules.describe(value)}")
            return RefusedRun(index, None, None, (fault,))
        given = {name: item for name, item in value.items() if name not in SERVER_FIELDS and not _absent(name, item)}
        try:
            given = _with_extra(given)
            return self._structure(given | dict.fromkeys(SERVER_FIELDS, received_at), Run, InvalidFieldsError)
        except InvalidFieldsError as error:
            return RefusedRun(index, _shown_id(value, "event_id"), _shown_id(value, "run_id"), error.faults)

    def changes(self, value: object) -> RunChanges:
        """What to change about a run; raises ``InvalidChangesError``."""
        return self._structure(value, RunChanges, InvalidChangesError)

    def commit(self, value: object) -> Commit:
        """A commit to associate; raises ``InvalidCommitError``."""
        return self._structure(value, Commit, InvalidCommitError)

    def run_filter(self, value: Mapping[str, str]) -> RunFilter:
        """Which runs to list; raises ``InvalidQueryError``."""
        return self._structure(dict(value), RunFilter, InvalidQueryError)

    def _structure(self, value: object, kind: type[_T], refusal: type[InvalidFieldsError]) -> _T:
        if not isinstance(value, dict):
            raise refusal((Fault(None, f"must be a JSON object, not {rules.describe(value)}"),))
        # In process a mapping may have any keys.
        if strange := [name for name in value if not isinstance(name, str)]:
            raise refusal(tuple(Fault(str(name), "is not text, as names of fields are") for name in strange))
        try:
            return self._converter.structure(value, kind)
        except cattrs.ClassValidationError as error:
            raise refusal(tuple(_faults(error))) from None


def _hook(rule: Callable[[object], Any]) -> Callable[[object, Any], Any]:
    return lambda value, _kind: rule(value)


def _absent(name: str, value: object) -> bool:
    """``null`` in a field of the contract is no value; in an unknown field it is one, to be kept."""
    return value is None and name in FIELDS


def _with_extra(given: dict[str, Any]) -> dict[str, Any]:
    """Gather the fields that the contract does not name in ``extra``, beside what was sent in it."""
    unknown = {name: given.pop(name) for name in given.keys() - set(FIELDS)}
    if not unknown:
        return given
    extra = given.get("extra", {})
    if not isinstance(extra, dict):
        return given
    if both := sorted(unknown.keys() & extra.keys()):
        reason = f"and the run itself both hold {rules.describe(both[0])}; send it once"
        raise InvalidFieldsError((Fault("extra", reason),))
    return given | {"extra": {**extra, **unknown}}


def _faults(error: cattrs.ClassValidationError) -> Iterator[Fault]:
    for part in error.exceptions:
        match part:
            case ForbiddenExtraKeysError(extra_fields=names, cl=kind):
                yield from _unknown_fields(sorted(names), kind)
            case KeyError():
                yield Fault(_field(part), "is required", FaultKind.MISSING)
            case FieldError():
                yield Fault(_field(part), str(part))
            case _:
                raise part


def _unknown_fields(names: list[str], kind: type) -> Iterator[Fault]:
    reason = f"cannot be given here; what can is {', '.join(kind.__annotations__)}"
    for name in names[:_MAX_NAMES_SHOWN]:
        yield Fault(_printable(name), reason)
    if len(names) > _MAX_NAMES_SHOWN:
        yield Fault(None, f"has {len(names) - _MAX_NAMES_SHOWN} more fields that cannot be given here")


def _field(error: Exception) -> str:
    """The field that cattrs was structuring when the error arose."""
    return next(note.name for note in error.__notes__ if isinstance(note, AttributeValidationNote))


def _printable(name: str) -> str:
    """A field name that somebody made up, fit for an answer."""
    shown = name if len(name) <= _MAX_NAME_SHOWN else f"{name[:_MAX_NAME_SHOWN]}…"
    return shown.encode("utf-8", "backslashreplace").decode()


def _shown_id(value: dict[str, Any], name: str) -> str | None:
    """An id as far as it can be repeated in an answer, with every fault of its run."""
    try:
        text = rules.parse_text(value.get(name))
    except FieldError:
        return None
    return text if len(text) <= _MAX_ID_SHOWN else None
