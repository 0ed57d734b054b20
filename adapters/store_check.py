"""What a check of a store reports, and whether a stored run is what the rules of its fields make of it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, get_args

import attrs
import msgspec

from core.model.run import CommitHash, CommitSource, Count, EventId, JsonText, Name, Run, Status, Text, Timestamp
from core.validation.fields import (
    InvalidValueError,
    check_json_text,
    parse_commit_hash,
    parse_commit_source,
    parse_count,
    parse_event_id,
    parse_name,
    parse_status,
    parse_text,
    parse_timestamp,
)

MAX_PROBLEMS: Final = 100
"""So many problems are reported; a damaged store may have millions."""

Advance = Callable[[int, int], object]
"""Called with how much of how much is done: runs checked, or pages copied."""


def ignore_progress(_done: int, _whole: int) -> None:
    """Show nothing."""


@attrs.frozen(kw_only=True)
class StoreReport:
    """What a check found in a store. Of a damaged store, what could not be read is ``None``.

    ``problems`` are sentences, at most ``MAX_PROBLEMS``; a store without any is healthy. ``wal_bytes`` and
    ``free_pages`` are those of a file; a database on a server has none. ``runs_before_horizon`` start before the
    retention horizon. That is no damage: a prune that was interrupted leaves some.
    """

    problems: tuple[str, ...] = ()
    schema_version: int | None = None
    runs: int | None = None
    event_ids: int | None = None
    agent_names: int | None = None
    job_types: int | None = None
    jobs: int | None = None
    unfinished_jobs: int | None = None
    oldest_start_time: Timestamp | None = None
    newest_start_time: Timestamp | None = None
    retention_horizon: Timestamp | None = None
    runs_before_horizon: int | None = None
    database_bytes: int | None = None
    wal_bytes: int | None = None
    free_pages: int | None = None

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def is_full(self) -> bool:
        """Whether there may be more problems than it has room for."""
        return len(self.problems) >= MAX_PROBLEMS

    def with_problems(self, problems: Iterable[str]) -> "StoreReport":
        """Return the report with further problems, as far as there is room for them."""
        room = MAX_PROBLEMS - len(self.problems)
        return attrs.evolve(self, problems=(*self.problems, *islice(problems, room)))


def problems_of_run(row: Sequence[Any]) -> list[str]:
    """Return what is wrong with the values of a run, given in the order of its fields, one sentence a field."""
    found = []
    for (name, rule, required), value in zip(_FIELDS, row, strict=True):
        if value is None:
            if required:
                found.append(f"{name} is missing")
        elif reason := _fault(rule, value):
            found.append(f"{name} {reason}")
    return found


def problems_of_horizon(value: str | None) -> Iterator[str]:
    """Yield what is wrong with a stored retention horizon, which may be missing."""
    if value is not None and (reason := _fault(parse_timestamp, value)):
        yield f"the retention horizon {value!r} {reason}"


def _fault(rule: Callable[[Any], object], value: object) -> str | None:
    try:
        is_kept_form = rule(value) == value
    except InvalidValueError as error:
        return str(error)
    return None if is_kept_form else "is not in the form in which it is stored"


def _parse_stored_json(value: str) -> str:
    try:
        is_object = type(msgspec.json.decode(value)) is dict
    except (msgspec.DecodeError, RecursionError):
        is_object = False
    if not is_object:
        raise InvalidValueError("is not the text of a JSON object")
    return check_json_text(JsonText(value))


_RULES: Final[Mapping[Any, Callable[[Any], object]]] = {
    EventId: parse_event_id,
    Name: parse_name,
    Text: parse_text,
    Count: parse_count,
    Timestamp: parse_timestamp,
    Status: parse_status,
    CommitHash: parse_commit_hash,
    CommitSource: parse_commit_source,
    JsonText: _parse_stored_json,
}
"""The rule of each type of field. It returns a stored value unchanged, because it has passed the rule before."""


def _declared(field: "attrs.Attribute[Any]") -> tuple[str, Callable[[Any], object], bool]:
    """Return the name of a field, the rule of its type, and whether it must have a value."""
    kinds = get_args(field.type) or (field.type,)
    return field.name, _RULES[kinds[0]], type(None) not in kinds


_FIELDS: Final = [_declared(field) for field in attrs.fields(Run)]
